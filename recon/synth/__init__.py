"""Worlds whose truth is exact: people, motion, places and cameras, drawn or at keypoint level.

from recon.synth import WorldSpec, keypoint_world

world = keypoint_world(WorldSpec(seed=3, camera="following", people=2, frames=3000))
world.tracks, world.camera      # what networks and trackers would report, errors and all
world.truth, world.times        # what they should have found
"""

from recon.synth.cameras import CAMERA_MOVES, TRUE_CAMERA, CameraMove, SlamNoise
from recon.synth.keypoints import KeypointWorld, TrueWorld, keypoint_world, true_world
from recon.synth.sensor import CLEAN, SensorNoise
from recon.synth.world import StagedWorld, WorldSpec, stage_world

__all__ = [
    "CAMERA_MOVES",
    "CLEAN",
    "TRUE_CAMERA",
    "CameraMove",
    "KeypointWorld",
    "SensorNoise",
    "SlamNoise",
    "StagedWorld",
    "TrueWorld",
    "WorldSpec",
    "keypoint_world",
    "stage_world",
    "true_world",
]
