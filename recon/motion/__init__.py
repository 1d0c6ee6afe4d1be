"""Human motion from anywhere: procedural, or from mocap files, on any body."""

from recon.motion.clip import Box, MotionClip
from recon.motion.compose import ACTIONS, Action, procedural, sequence
from recon.motion.load import load_motion, motion_files
from recon.motion.retargeting import retarget
from recon.motion.save import save_motion

__all__ = [
    "ACTIONS",
    "Action",
    "Box",
    "MotionClip",
    "load_motion",
    "motion_files",
    "procedural",
    "retarget",
    "save_motion",
    "sequence",
]
