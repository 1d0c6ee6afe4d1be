"""Who was found in a scene, on one sheet, and the user's choice among them (tracks.json)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recon.core.errors import InputError, StaleSceneError
from recon.core.people import PersonTrack
from recon.core.scene import Scene
from recon.core.storage import write_atomic
from recon.core.untrusted import read_json
from recon.options import person_ids
from recon.runner import Step, Watcher, locked_scene, run_steps
from recon.video import VideoReader, recorded_clip

if TYPE_CHECKING:
    from body.track_edits import TrackEdits

FILE = "tracks.json"
SHEET = "tracks.jpg"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a user asks to change: numbers such as "1,3", merges such as "4:1"."""

    keep: str | None = None
    drop: str | None = None
    merge: tuple[str, ...] = ()
    reset: bool = False

    def __bool__(self) -> bool:
        return self.keep is not None or self.drop is not None or bool(self.merge) or self.reset


def show_tracks(path: Path, choice: Choice, *, watcher: Watcher) -> list[Path]:
    """The files tracks.jpg and tracks.json of a scene, written after applying a choice if any.

    A choice changes the scene's people, so that the stages after them are stale; without one
    nothing of the scene changes.

    Raises:
        InputError: no scene, or a choice that does not fit it. StaleSceneError: people have not
            been tracked yet.
    """
    from body.track_edits import TrackEdits, edit_tracks

    Scene.open(path)  # before the lock, which would make a folder
    with locked_scene(path) as scene:
        tracks, names = scene.found_tracks, {}
        edits = TrackEdits()
        if not choice.reset:
            entries = _read_entries(scene)
            names = {e["id"]: e["name"] for e in entries or () if e.get("name")}
            edits = _edits_of(entries) if entries is not None else _applied(scene)
            _check_same_people(entries or (), tracks)
        edits = _without_keep(_changed(edits, choice), tracks)
        edit_tracks(tracks, edits)  # refuses what does not fit, before anything is written
        # The sheet first: what takes long or fails comes before what counts.
        sheet = _write_sheet(scene, tracks, edits, names)
        entries = _entries(tracks, edits, names)
        text = json.dumps(entries, indent=1, ensure_ascii=False)
        write_atomic(scene.path / FILE, lambda file: file.write(text.encode()))
        if choice:
            before = scene.report("people")
            run_steps(scene, [people_step(scene, edits)], watcher=watcher)
            if scene.report("people") != before:
                watcher.note(f"go on with: recon run {scene.video.path} --scene {scene.path}")
        return [sheet, scene.path / FILE]


def chosen_edits(scene: Scene, keep: str | None) -> TrackEdits:
    """The edits that a run applies: those of tracks.json if there is one, and --keep.

    Raises:
        InputError: tracks.json cannot be understood.
    """
    from dataclasses import replace

    edits = _edits_of(_read_entries(scene) or ())
    # What the command line says counts more than what the file drops.
    return edits if keep is None else replace(edits, keep=person_ids("--keep", keep), drop=())


def people_step(scene: Scene, edits: TrackEdits) -> Step:
    """The step that makes the scene's people from those who were found."""
    from body import track_edits

    def work(_progress: Any) -> Any:
        if edits:
            _check_same_people(_read_entries(scene) or (), scene.found_tracks)
        return track_edits.run(scene, edits)

    return Step(name="people", config=edits, work=work)


# tracks.json ------------------------------------------------------------------------------------


def _read_entries(scene: Scene) -> list[dict[str, Any]] | None:
    """The entries of tracks.json, None if there is no such file."""
    path = scene.path / FILE
    if not path.exists():
        return None
    wanted = f"expected in {path} a list of people, each with id, keep, merge_into, name; got"
    todo = "correct it, or delete it for everybody"
    try:
        entries = read_json(path)
    except (ValueError, OSError) as error:
        raise InputError(f"{wanted} {error}; {todo}") from error
    for entry in entries if isinstance(entries, list) else [entries]:
        if not (
            isinstance(entry, dict)
            and type(entry.get("id")) is int
            and isinstance(entry.get("keep", True), bool)
            and (entry.get("merge_into") is None or type(entry["merge_into"]) is int)
            and isinstance(name := entry.get("name", ""), str)
            and name.isprintable()  # half of a letter crashes OpenCV
        ):
            raise InputError(f"{wanted} {json.dumps(entry)[:80]}; {todo}")
    if not isinstance(entries, list) or len({e["id"] for e in entries}) < len(entries):
        raise InputError(f"{wanted} one person twice or no list; {todo}")
    return entries


def _edits_of(entries: Iterable[dict[str, Any]]) -> TrackEdits:
    from body.track_edits import TrackEdits

    merge = {e["id"]: e["merge_into"] for e in entries if e.get("merge_into") is not None}
    drop = [e["id"] for e in entries if not e.get("keep", True) and e["id"] not in merge]
    return TrackEdits(drop=tuple(sorted(drop)), merge=tuple(sorted(merge.items())))


def _entries(
    tracks: Sequence[PersonTrack], edits: TrackEdits, names: dict[int, str]
) -> list[dict[str, Any]]:
    merge = dict(edits.merge)
    return [
        {
            "id": t.track_id,
            "keep": t.track_id not in edits.drop,
            "merge_into": merge.get(t.track_id),
            "name": names.get(t.track_id, ""),
            "first": int(t.frame_idx[0]),
            "last": int(t.frame_idx[-1]),
            "frames": len(t.frame_idx),
        }
        for t in tracks
    ]


def _check_same_people(entries: Iterable[dict[str, Any]], tracks: Sequence[PersonTrack]) -> None:
    """Refuses a choice that was made among the people of another tracking."""
    found = {t.track_id: t for t in tracks}
    for entry in entries:
        track = found.get(entry["id"])
        if entry.get("keep", True) and entry.get("merge_into") is None:
            continue
        is_other = track is None or any(
            entry.get(key, now) != now
            for key, now in (
                ("first", int(track.frame_idx[0])),
                ("last", int(track.frame_idx[-1])),
                ("frames", len(track.frame_idx)),
            )
        )
        if is_other:
            raise StaleSceneError(
                f"expected {FILE} to choose among the people who were found, got a person "
                f"{entry['id']} of an older tracking; forget it with: recon tracks SCENE --reset"
            )


# Choices ----------------------------------------------------------------------------------------


def _applied(scene: Scene) -> TrackEdits:
    """The edits that made the scene's people, for example by `recon run --keep`."""
    from body.track_edits import TrackEdits

    config = scene.manifest["stages"].get("people", {}).get("config", {})
    keep = config.get("keep")
    return TrackEdits(
        keep=None if keep is None else tuple(keep),
        drop=tuple(config.get("drop", ())),
        merge=tuple((a, b) for a, b in config.get("merge", ())),
    )


def _changed(edits: TrackEdits, choice: Choice) -> TrackEdits:
    """Earlier edits with a new choice on top."""
    from body.track_edits import TrackEdits

    merge = dict(edits.merge) | dict(_pair(text) for text in choice.merge)
    drop = {*edits.drop, *(person_ids("--drop", choice.drop) if choice.drop is not None else ())}
    keep = edits.keep
    if choice.keep is not None:  # who is asked for now comes back
        keep = person_ids("--keep", choice.keep)
        drop = set(person_ids("--drop", choice.drop)) if choice.drop is not None else set()
    return TrackEdits(keep=keep, drop=tuple(sorted(drop)), merge=tuple(sorted(merge.items())))


def _without_keep(edits: TrackEdits, tracks: Sequence[PersonTrack]) -> TrackEdits:
    """The same edits said by `drop` and `merge` alone, as tracks.json says them."""
    from body.track_edits import TrackEdits, edit_tracks

    left = {t.track_id for t in edit_tracks(tracks, edits)}
    merged = dict(edits.merge)
    drop = [i for i in (t.track_id for t in tracks) if i not in left and i not in merged]
    return TrackEdits(drop=tuple(sorted(drop)), merge=edits.merge)


def _pair(text: str) -> tuple[int, int]:
    source, colon, target = text.partition(":")
    if not colon or not all(p.isascii() and p.isdigit() for p in (source, target)):
        raise InputError(f"--merge: expected two people's numbers such as 4:1, got {text!r}")
    return int(source), int(target)


def _write_sheet(
    scene: Scene, tracks: Sequence[PersonTrack], edits: TrackEdits, names: dict[int, str]
) -> Path:
    from recon.tracks_sheet import write_sheet

    merge, remarks = dict(edits.merge), {}
    for track in tracks:
        i = track.track_id
        state = f"merged into {merge[i]}" if i in merge else "dropped" if i in edits.drop else ""
        remarks[i] = ", ".join(part for part in (names.get(i, ""), state) if part)
    path = scene.path / SHEET
    write_sheet(tracks, VideoReader(recorded_clip(scene), scene.video), path, remarks=remarks)
    return path
