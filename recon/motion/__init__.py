"""Human motion from anywhere: procedural, or from mocap files, on any body."""

from recon.motion.clip import Box, MotionClip

__all__ = ["Box", "MotionClip"]
