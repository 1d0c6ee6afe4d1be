"""The `people` stage: who of those found belongs to the scene, and who is the same person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from body.people import NOBODY_SOUGHT, tracks_report
from recon.core.errors import InputError
from recon.core.people import PersonTrack, RoiMasks
from recon.core.scene import Scene
from recon.core.stage import Decision, StageReport


@dataclass(frozen=True, kw_only=True)
class TrackEdits:
    """Changes to the tracked people; all numbers are those the tracker gave.

    Args:
        keep: only these people, or None for all. drop: nor these.
        merge: pairs (from, into): the sightings of the first belong to the second.
    """

    keep: tuple[int, ...] | None = None
    drop: tuple[int, ...] = ()
    merge: tuple[tuple[int, int], ...] = ()

    def __bool__(self) -> bool:
        return self.keep is not None or bool(self.drop or self.merge)

    def __str__(self) -> str:
        parts = [f"{a} merged into {b}" for a, b in self.merge]
        parts += [f"dropped {_listed(self.drop)}"] if self.drop else []
        parts += [f"kept only {_listed(self.keep)}"] if self.keep is not None else []
        return ", ".join(parts) or "everybody who was found"


def edit_tracks(tracks: Sequence[PersonTrack], edits: TrackEdits) -> list[PersonTrack]:
    """The people that remain, in the same order and with the same numbers.

    A merged person has the frames of both; where both were seen in one frame, the sighting with
    the better score stays. Merges may chain (5 into 4, 4 into 1). To keep or drop somebody who is
    merged into another means that other.

    Raises:
        InputError: no such person, a merge in a circle, or of one person into two, or somebody
            both kept and dropped.
    """
    roots = _roots([t.track_id for t in tracks], edits)
    drop = {roots[i] for i in edits.drop}
    keep = set(roots.values()) if edits.keep is None else {roots[i] for i in edits.keep}
    if edits.keep is not None and keep & drop:
        raise InputError(f"expected to keep or to drop person {min(keep & drop)}, got both")
    people = []
    for track in tracks:
        if roots[track.track_id] == track.track_id and track.track_id in keep - drop:
            others = [t for t in tracks if t is not track and roots[t.track_id] == track.track_id]
            people.append(_merged([track, *others]))
    return people


def run(scene: Scene, edits: TrackEdits) -> StageReport:
    """Applies the edits to the tracked people and saves `people.npz`.

    Raises:
        InputError: the edits do not fit the people who were found.
    """
    found = scene.found_tracks
    people = edit_tracks(found, edits)
    scene.save("people.npz", people)
    report = tracks_report(people, scene.video, scene.report("tracking").backend)
    if scene.report("tracking").backend == NOBODY_SOUGHT:
        report = replace(report, warnings=())
    if not edits:
        return report
    who = Decision(
        name="people chosen", value=str(edits), why=f"asked for; {len(found)} people were found"
    )
    warnings = ("nobody is left of the people who were found",) if found and not people else ()
    return replace(report, decisions=(who, *report.decisions), warnings=warnings or report.warnings)


def _roots(ids: Sequence[int], edits: TrackEdits) -> dict[int, int]:
    """Whom every person is, after all merges."""
    named = {*edits.drop, *(edits.keep or ()), *(i for pair in edits.merge for i in pair)}
    if unknown := named - set(ids):
        raise InputError(
            f"expected people among {_listed(ids) or 'nobody'}, got {_listed(sorted(unknown))}; "
            "see: recon tracks SCENE"
        )
    into: dict[int, int] = {}
    for source, target in edits.merge:
        if into.setdefault(source, target) != target:
            raise InputError(
                f"expected person {source} to be merged into one other, got {into[source]} "
                f"and {target}"
            )
    roots = {}
    for i in ids:
        root, passed = i, {i}
        while root in into:
            root = into[root]
            if root in passed:
                raise InputError(f"expected merges that end somewhere, got {i} merged into itself")
            passed.add(root)
        roots[i] = root
    return roots


def _merged(tracks: Sequence[PersonTrack]) -> PersonTrack:
    """One track of several people's sightings, with the first one's number."""
    first = tracks[0]
    if len(tracks) == 1:
        return first
    frames = np.concatenate([t.frame_idx for t in tracks])
    # By frame, within a frame by falling score: the first of each frame stays.
    order = np.lexsort((-np.concatenate([t.scores for t in tracks]), frames))
    _, firsts = np.unique(frames[order], return_index=True)
    rows = order[firsts]

    def joined(name: str) -> np.ndarray | None:
        values = [getattr(t, name) for t in tracks]
        return None if any(v is None for v in values) else np.concatenate(values)[rows]

    names = ("frame_idx", "boxes", "scores", "keypoints_px", "keypoint_conf", "landmarks",
             "hands_px", "hands_conf", "hands_3d", "face_px", "face_conf")  # fmt: skip
    masks = RoiMasks(
        bits=np.concatenate([t.masks.bits for t in tracks])[rows],
        Ts_image_roi=np.concatenate([t.masks.Ts_image_roi for t in tracks])[rows],
        size=first.masks.size,
    )
    return replace(first, masks=masks, **{name: joined(name) for name in names})


def _listed(ids: Sequence[int]) -> str:
    return ", ".join(str(i) for i in ids)
