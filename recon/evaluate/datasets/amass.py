"""AMASS: motion-captured people without a camera (SMPL-X or SMPL-H .npz).

Source: Mahmood et al. 2019. The world's z axis is up and its floor at 0.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from recon.core.errors import InputError
from recon.core.untrusted import read_arrays
from recon.evaluate.datasets.truth import DatasetTruth, Gender, video_times
from recon.imports import amass


def read(place: str) -> DatasetTruth:
    """The person of an AMASS file.

    Raises:
        InputError: it is no such file.
    """
    path = Path(place)
    content = amass.read(path)
    assert content.fps is not None
    count = len(content.people[0].frame_idx)
    return DatasetTruth(
        name=path.stem, times=video_times(count, content.fps), content=content,
        genders=(_gender(path),), valid=(np.ones(count, bool),),
    )  # fmt: skip


def _gender(path: Path) -> Gender:
    try:
        text = str(read_arrays(path, re.compile("gender")).get("gender", "neutral"))
    except ValueError as error:
        text = str(error)
    for gender in ("female", "male", "neutral"):  # some files hold the text as b'male'
        if gender in text:
            return gender
    raise InputError(f"expected the sex female, male or neutral in {path}, got {text!r}")
