"""The names, units and published levels of every figure, for tables and pages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of an evaluation.

    Args:
        label: as the field writes it. unit: of the value. digits: shown behind the point.
        published: levels on EMDB-2 (world) or EMDB-1 and 3DPW (camera), best systems.
        group: heading that it stands under.
    """

    label: str
    unit: str
    digits: int
    group: str
    published: Mapping[str, float] = field(default_factory=dict)


_CAMERA = "Body in the camera"
_WORLD = "Motion in the world"
_GROUND = "Contact with the ground"
_PATH = "Camera"
_TRACKS = "Who is who"

FIGURES: dict[str, Figure] = {
    "pa_mpjpe_mm": Figure(
        label="PA-MPJPE", unit="mm", digits=1, group=_CAMERA,
        published={"TRAM (3DPW)": 35.6, "GVHMR (EMDB-1)": 42.7},
    ),
    "mpjpe_mm": Figure(
        label="MPJPE", unit="mm", digits=1, group=_CAMERA,
        published={"TRAM (3DPW)": 59.3, "GVHMR (EMDB-1)": 72.6},
    ),
    "pve_mm": Figure(
        label="PVE", unit="mm", digits=1, group=_CAMERA,
        published={"TRAM (3DPW)": 69.6, "GVHMR (EMDB-1)": 84.2},
    ),
    "accel": Figure(label="Accel", unit="m/s²", digits=2, group=_CAMERA),
    "size_percent": Figure(label="bone lengths", unit="%", digits=1, group=_CAMERA),
    "wa_mpjpe_mm": Figure(
        label="WA-MPJPE100", unit="mm", digits=1, group=_WORLD,
        published={
            "WHAM": 135.6, "GVHMR": 109.1, "TRAM": 76.4, "PromptHMR-Vid": 70.5, "JOSH": 68.9,
            "DuoMo": 66.0,
        },
    ),
    "w_mpjpe_mm": Figure(
        label="W-MPJPE100", unit="mm", digits=1, group=_WORLD,
        published={
            "WHAM": 334.8, "GVHMR": 274.9, "TRAM": 222.4, "PromptHMR-Vid": 193.7, "JOSH": 174.7,
            "DuoMo": 167.1,
        },
    ),
    "rte_percent": Figure(
        label="RTE", unit="%", digits=2, group=_WORLD,
        published={"WHAM": 6.0, "GVHMR": 1.9, "TRAM": 1.4, "JOSH": 1.3, "DuoMo": 1.1},
    ),
    "erve_mm": Figure(label="ERVE", unit="mm/frame", digits=2, group=_WORLD),
    "jitter": Figure(
        label="jitter", unit="× 10 m/s³", digits=2, group=_WORLD,
        published={"GVHMR": 16.5, "DuoMo": 8.7},
    ),
    "jitter_truth": Figure(label="jitter of the truth", unit="× 10 m/s³", digits=2, group=_WORLD),
    "path_scale_percent": Figure(label="path's scale", unit="%", digits=2, group=_WORLD),
    "path_m": Figure(label="path's true length", unit="m", digits=2, group=_WORLD),
    "foot_sliding_mm": Figure(
        label="foot sliding", unit="mm/frame", digits=2, group=_GROUND,
        published={"GVHMR": 3.5, "DuoMo": 3.7},
    ),
    "foot_sliding_truth_mm": Figure(
        label="foot sliding of the truth", unit="mm/frame", digits=2, group=_GROUND
    ),
    "contact_f1": Figure(label="contact F1", unit="", digits=3, group=_GROUND),
    "contact_precision": Figure(label="contact precision", unit="", digits=3, group=_GROUND),
    "contact_recall": Figure(label="contact recall", unit="", digits=3, group=_GROUND),
    "penetration_mm": Figure(label="penetration", unit="mm", digits=1, group=_GROUND),
    "float_mm": Figure(label="float", unit="mm", digits=1, group=_GROUND),
    "ate_m": Figure(label="ATE", unit="m", digits=3, group=_PATH),
    "ate_s_m": Figure(label="ATE-S", unit="m", digits=3, group=_PATH),
    "rotation_deg": Figure(label="rotation error", unit="°", digits=2, group=_PATH),
    "gravity_deg": Figure(label="gravity error", unit="°", digits=2, group=_PATH),
    "focal_percent": Figure(label="focal length", unit="%", digits=2, group=_PATH),
    "camera_scale_percent": Figure(label="camera path's scale", unit="%", digits=2, group=_PATH),
    "scale_percent": Figure(label="scale error", unit="%", digits=2, group=_PATH),
    "camera_tracked_percent": Figure(label="frames tracked", unit="%", digits=1, group=_PATH),
    "coverage_percent": Figure(label="coverage", unit="%", digits=1, group=_TRACKS),
    "mota_percent": Figure(label="MOTA", unit="%", digits=1, group=_TRACKS),
    "idf1_percent": Figure(label="IDF1", unit="%", digits=1, group=_TRACKS),
    "id_switches": Figure(label="identity switches", unit="", digits=0, group=_TRACKS),
    "fragmentations": Figure(label="fragmentations", unit="", digits=0, group=_TRACKS),
    "misses": Figure(label="misses", unit="", digits=0, group=_TRACKS),
    "false_positives": Figure(label="false positives", unit="", digits=0, group=_TRACKS),
}  # fmt: skip
"""Every figure by its name in JSON, in the order of tables."""


def levels(name: str, count: int | None = None) -> str:
    """The published levels of a figure, the lowest first, as text."""
    ranked = sorted(FIGURES[name].published.items(), key=lambda item: item[1])
    return ", ".join(f"{who} {level:g}" for who, level in ranked[:count])


def shown(name: str, value: float | None) -> str:
    """A figure as text without its unit, a dash where it is not defined."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.{FIGURES[name].digits}f}"
