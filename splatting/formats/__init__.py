"""One file per format of Gaussians; splatting.files is the way in."""
