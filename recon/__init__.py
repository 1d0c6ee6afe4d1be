"""recon: an ordinary video into 3D people and a camera in one metric world."""

__version__ = "0.1.0"
