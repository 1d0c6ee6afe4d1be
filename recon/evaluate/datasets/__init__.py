"""Truths of the field's data sets, read from their official files."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recon.evaluate.datasets.truth import DatasetTruth
    from recon.evaluate.recording import Recording

DATASETS: dict[str, str] = {
    "emdb": "recon.evaluate.datasets.emdb:read",
    "3dpw": "recon.evaluate.datasets.threedpw:read",
    "rich": "recon.evaluate.datasets.rich:read",
    "amass": "recon.evaluate.datasets.amass:read",
}
"""Data set to `module:function`; the function takes the text after "KIND:"."""


def recognised(place: str) -> str | None:
    """The data set that a sequence's path tells by its names, or None."""
    path = Path(place.partition("#")[0])
    if path.name.endswith("_data.pkl") or any(path.glob("*_data.pkl")):
        return "emdb"
    if path.suffix == ".pkl" and "sequenceFiles" in path.parts:
        return "3dpw"
    if any(path.glob("[0-9][0-9][0-9][0-9][0-9]/*.pkl")):
        return "rich"
    return "amass" if path.suffix == ".npz" else None


def read_truth(kind: str, place: str) -> DatasetTruth:
    """The truth of one sequence of a data set, as its files state it.

    Args:
        kind: a key of DATASETS. place: the path of the sequence.
    Raises:
        InputError: there is no such sequence, or its files are others.
    """
    module, _, function = DATASETS[kind].partition(":")
    return getattr(import_module(module), function)(place)


def read_dataset(kind: str, place: str, *, body_model_path: Path | None) -> Recording:
    """The same with bodies, for which the user's model files are needed.

    Args:
        body_model_path: folder with the files of SMPL (EMDB, 3DPW), SMPL-X (RICH, AMASS) or
            SMPL-H (AMASS), of the person's sex.
    Raises:
        InputError: also where a model's file is missing.
        MissingDependencyError: the package `smplx` is not installed.
    """
    from recon.evaluate.datasets.truth import truth_recording

    return truth_recording(read_truth(kind, place), body_model_path=body_model_path)
