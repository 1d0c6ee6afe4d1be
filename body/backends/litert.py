"""LiteRT (TensorFlow Lite) networks on the CPU, through XNNPACK."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from body.backends.cores import thread_count


class LiteRtNetwork:
    """A network of one image input, ready to run.

    Args:
        path: the .tflite file. threads: 0 takes all CPU cores.
    """

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with _quiet_stderr():
            self._interpreter = Interpreter(str(path), num_threads=thread_count(threads))
            self._interpreter.allocate_tensors()
        (entry,) = self._interpreter.get_input_details()
        self._input = int(entry["index"])
        self._outputs = {
            str(d["name"]): int(d["index"]) for d in self._interpreter.get_output_details()
        }
        self.input_size = int(entry["shape"][1])
        """Side of the square input image, pixels."""

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs by name, without the batch axis.

        Args:
            image: (input_size, input_size, 3) float32 RGB in the network's own range.
        """
        self._interpreter.set_tensor(self._input, image[None])
        self._interpreter.invoke()
        return {k: self._interpreter.get_tensor(i)[0] for k, i in self._outputs.items()}


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Hides what LiteRT's C++ says on loading; it has no log level, and its errors are raised."""
    saved = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
