from __future__ import annotations

import numpy as np
import pytest

from recon.core.checks import check_array
from recon.core.errors import InputError, MissingDependencyError, ReconError


@pytest.mark.parametrize(
    ("array", "shape", "dtype", "word"),
    [
        ([1.0], (1,), np.floating, "numpy array"),
        (np.zeros((2, 3)), (2, 4), np.floating, r"\(2, 4\)"),
        (np.zeros((2, 3)), (2,), np.floating, r"\(2, 3\)"),
        (np.zeros(3, int), (3,), np.floating, "int64"),
        (np.zeros(3), (3,), np.integer, "float64"),
        (np.array([1.0, np.inf]), (2,), np.floating, "finite"),
        (np.array([1.0, np.nan]), (None,), np.floating, "finite"),
    ],
)
def test_what_does_not_fit_says_expected_and_actual(
    array: np.ndarray, shape: tuple[int | None, ...], dtype: type, word: str
) -> None:
    with pytest.raises(InputError, match=word) as caught:
        check_array("thing", array, shape, dtype)
    assert str(caught.value).startswith("thing: expected") and "got" in str(caught.value)


def test_what_fits_passes() -> None:
    check_array("a", np.zeros((2, 3), np.float32), (None, 3))
    check_array("b", np.zeros((2, 3), np.int32), (2, None), np.integer)
    check_array("c", np.zeros(0, bool), (0,), np.bool_)


def test_a_missing_package_says_how_to_get_it() -> None:
    error = MissingDependencyError("smplx", "smplx")
    assert isinstance(error, ReconError)
    assert "pip install 'recon3d[smplx]'" in str(error)
