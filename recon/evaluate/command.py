"""`recon evaluate`: reads both sides, measures, prints and writes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from recon.core.errors import InputError
from recon.core.geometry import Array
from recon.evaluate.scenes import Evaluation, evaluate_scenes
from recon.evaluate.sources import open_recording
from recon.options import EvaluateOptions


def evaluate(pred: str, truth: str, options: EvaluateOptions) -> Evaluation:
    """Measures `pred` against `truth`, each as `open_recording` takes it.

    Raises:
        InputError: one of them cannot be used, or they have nothing in common.
    """
    found, there = (
        open_recording(text, body_model_path=options.body_model_path, fps=options.fps)
        for text in (pred, truth)
    )
    result = evaluate_scenes(
        found, there, protocol=options.protocol, tolerance=options.tolerance,
        gaps=options.gaps, joints=options.joints,
        regressor=None if options.regressor is None else read_regressor(options.regressor),
    )  # fmt: skip
    if options.json:
        print(json.dumps(result.to_json(), indent=1))
    else:
        from recon.evaluate.table import print_table

        print_table(result)
    if options.html is not None:
        from recon.evaluate.page import write_evaluation_page

        write_evaluation_page(result, options.html)
        print(options.html, file=sys.stderr if options.json else sys.stdout)
    return result


def read_regressor(path: Path) -> Array:
    """The (17, 6890) matrix of J_regressor_h36m.npy.

    Raises:
        InputError: it is no such file.
    """
    try:
        array = np.load(path, allow_pickle=False)
        if array.ndim != 2:
            raise ValueError(f"an array of shape {array.shape}")
        return array.astype(float)
    except Exception as error:  # a damaged file can raise anything, and an .npz has no ndim
        raise InputError(
            f"expected J_regressor_h36m.npy, a matrix of 17 x 6890, got {path}: {error}"
        ) from error
