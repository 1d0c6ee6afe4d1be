"""RTMPose and RTMW from their ONNX files: 2D keypoints of body, feet, hands and face."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from body.backends.cores import thread_count
from body.coco import check_count
from body.landmarks import Landmarks, Roi
from body.topdown import TallCrop, simcc_peaks
from recon.core.errors import InputError, MissingDependencyError

_EXPECTED = (
    "--keypoints-model: expected an ONNX file of RTMPose or RTMW (one picture in, SimCC x and y "
    "out), such as end2end.onnx of MMPose's model zoo"
)


class RtmPose:
    """Jiang et al. 2023, "RTMPose: Real-Time Multi-Person Pose Estimation based on MMPose", and
    RTMW (2024), of 17, 26 or 133 keypoints. `threads` 0 takes all cores.

    Licence: code and published weights Apache-2.0; some training sets allow research only.

    Raises:
        MissingDependencyError: onnxruntime is not installed. InputError: not such a file.
    """

    def __init__(self, model: Path, *, threads: int = 0) -> None:
        self.check(model)
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = thread_count(threads)
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(model), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions share no base class but this
            raise InputError(f"{_EXPECTED}; got {model}: {str(error).splitlines()[0]}") from error
        shape = self._session.get_inputs()[0].shape
        if len(shape) != 4 or shape[1] != 3 or not all(isinstance(n, int) for n in shape[2:]):
            raise InputError(f"{_EXPECTED}; got {model} whose input is {shape}")
        self._crop = TallCrop(height=shape[2], width=shape[3])
        outputs = self._run(np.zeros((1, 3, *shape[2:]), np.float32))
        splits = {o.shape[-1] / n for o, n in zip(outputs, shape[:1:-1], strict=False)}
        if len(outputs) != 2 or any(o.ndim != 3 for o in outputs) or len(splits) != 1:
            raise InputError(f"{_EXPECTED}; got {model} with outputs {[o.shape for o in outputs]}")
        self._split = splits.pop()
        check_count(outputs[0].shape[1], str(model))

    @staticmethod
    def check(model: Path) -> None:
        """Refuses at once what would be missed only after minutes of work.

        Raises:
            MissingDependencyError: onnxruntime is not installed. InputError: no such file.
        """
        try:
            import onnxruntime  # noqa: F401
        except ImportError as error:
            raise MissingDependencyError("onnxruntime", "rtmpose") from error
        if not model.is_file():
            raise InputError(f"{_EXPECTED}; got {model}, which is no file here")

    def landmarks(self, image: np.ndarray, roi: Roi) -> Landmarks:
        """The person in the region of `image` (H, W, 3) uint8 RGB."""
        simcc_x, simcc_y = self._run(self._crop.pixels(image, roi))
        points, scores = simcc_peaks(simcc_x[0], simcc_y[0], split=self._split)
        return self._crop.landmarks(points, scores, roi)

    def _run(self, pixels: np.ndarray) -> list[np.ndarray]:
        name = self._session.get_inputs()[0].name
        return [np.asarray(output) for output in self._session.run(None, {name: pixels})]
