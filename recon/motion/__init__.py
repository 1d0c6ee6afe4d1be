"""Human motion from anywhere: procedural, or from mocap files, on any body."""

from recon.motion.clip import Box, MotionClip
from recon.motion.compose import ACTIONS, Action, procedural, sequence

__all__ = ["ACTIONS", "Action", "Box", "MotionClip", "procedural", "sequence"]
