"""The process in which ORB-SLAM3 runs: a folder of pictures in, trajectory.txt out."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import cv2
import numpy as np


def main(folder: Path) -> None:
    """Follows 000000.png … at the moments of times.npy with the camera of settings.yaml."""
    from pyorbslam3 import Sensor, Slam, vocabulary_path  # type: ignore[import-not-found]

    try:
        vocabulary = vocabulary_path(quiet=True)
    except (OSError, RuntimeError) as error:
        sys.exit(
            f"no vocabulary ({error}); download ORBvoc.txt from ORB-SLAM3's repository and set "
            "PYORBSLAM3_VOCAB to it"
        )
    slam = Slam(vocabulary, folder / "settings.yaml", Sensor.MONOCULAR)
    times = np.load(folder / "times.npy", allow_pickle=False)
    placed, begin = 0, time.monotonic() - times[0]
    for row, moment in enumerate(times.tolist()):
        picture = cv2.imread(str(folder / f"{row:06d}.png"), cv2.IMREAD_COLOR_RGB)
        # Its mapping thread works between the frames, as it does behind a camera.
        time.sleep(max(0.0, begin + moment - time.monotonic()))
        placed += slam.track_monocular(picture, moment).pose_valid
    slam.shutdown()
    if not placed:
        sys.exit("it never found a start: too little parallax or too few corners")
    slam.save_trajectory_euroc(str(folder / "trajectory.txt"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
