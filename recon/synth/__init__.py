"""Worlds whose truth is exact: people, motion, places and cameras, drawn or at keypoint level.

    from recon.synth import WorldSpec, keypoint_world, make_world

    spec = WorldSpec(seed=3, camera="following", people=2, place="street", frames=300)
    scene = make_world(spec, "worlds/3")    # video.mp4 and a scene folder with the truth

    world = keypoint_world(spec)            # no pixels; thousands of frames take seconds
    world.tracks, world.camera              # what networks and trackers would report
    world.truth, world.times                # what they should have found

`camera` is one of CAMERA_MOVES. The truth scene is an ordinary `recon.core.scene.Scene` with every
stage written; its own files are in `make_world`'s docstring, `read_depth` and `read_masks` read
them. This interface is stable.
"""

from recon.synth.cameras import CAMERA_MOVES, TRUE_CAMERA, CameraMove, SlamNoise
from recon.synth.keypoints import KeypointWorld, TrueWorld, keypoint_world, true_world
from recon.synth.make import make_world, read_depth, read_masks
from recon.synth.sensor import CLEAN, SensorNoise
from recon.synth.world import Place, StagedWorld, WorldSpec, stage_world

__all__ = [
    "CAMERA_MOVES",
    "CLEAN",
    "TRUE_CAMERA",
    "CameraMove",
    "KeypointWorld",
    "Place",
    "SensorNoise",
    "SlamNoise",
    "StagedWorld",
    "TrueWorld",
    "WorldSpec",
    "keypoint_world",
    "make_world",
    "read_depth",
    "read_masks",
    "stage_world",
    "true_world",
]
