"""The scene folder: what a run leaves, and the record that lets a later run resume it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from recon.core.camera import CameraTrajectory
from recon.core.checks import check_rotations
from recon.core.depth import KeyframeDepth
from recon.core.errors import InputError, ReconError, StaleSceneError
from recon.core.ground import GroundView
from recon.core.people import BodyPoses, CameraMotion, PersonTrack, WorldMotion, WorldPlacement
from recon.core.rig import Rig
from recon.core.stage import Decision, StageReport
from recon.core.storage import load_field, load_items, save_items, write_atomic
from recon.core.untrusted import check_manifest, check_text, read_json
from recon.core.video import VideoInfo

SCHEMA_VERSION = 1

StageName = Literal["video", "tracking", "people", "camera", "body", "world"]

STAGE_INPUTS: dict[StageName, tuple[StageName, ...]] = {
    "video": (),
    "tracking": ("video",),
    "people": ("video", "tracking"),
    "camera": ("video", "people"),
    "body": ("video", "people", "camera"),
    "world": ("video", "people", "camera", "body"),
}
"""The stages in order, each with the stages whose results it reads."""

STAGE_FILES: dict[StageName, tuple[str, ...]] = {
    "video": ("video.npz",),
    "tracking": ("tracking.npz",),
    "people": ("people.npz",),
    "camera": ("camera.npz",),
    "body": ("body.npz", "rigs.npz"),
    "world": ("placement.npz", "world.npz"),
}

OPTIONAL_FILES: dict[StageName, tuple[str, ...]] = {"camera": ("depth.npz", "ground.npz")}
"""Files that a stage leaves for some clips only; they belong to its result where they are."""

CONVENTIONS = {
    "camera": "OpenCV: +x right, +y down, +z forward; pixel centres at (0.5, 0.5)",
    "slam": "the camera tracker's own frame: arbitrary scale and gauge",
    "world": "metric, right-handed, +z up (gravity), floor at z = 0",
    "transforms": "T_a_b maps b-coordinates to a-coordinates; Ts_world_camera is camera to world",
    "poses": "SMPL-X joint rotations (pelvis, 21 body joints, 15 per hand), each relative to its "
    "parent, rest pose T-pose y-up facing +z",
    "units": "metres, radians, seconds, pixels",
}


class Scene:
    """A scene folder: `scene.json` plus the files of each stage.

    Read results through `video`, `found_tracks`, `tracks`, `camera`, `camera_motions`, `rigs`,
    `placement` and `world_motions`; each raises StaleSceneError if its stage has not run.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest

    @classmethod
    def create(cls, path: str | Path) -> Scene:
        """The scene at `path`, made if it does not exist; an existing scene is kept.

        Raises:
            InputError: the path is a file, or a folder that holds something else.
        """
        path = Path(path)
        check_text(path)
        if (path / "scene.json").exists():
            return cls.open(path)
        if path.exists() and not path.is_dir():
            raise InputError(
                f"expected a folder for the scene, got the file {path}; use --scene DIR"
            )
        if path.is_dir() and any(not p.name.startswith(".") for p in path.iterdir()):
            raise InputError(
                f"expected an empty folder or a scene, got {path} with other files in it; "
                "use --scene DIR"
            )
        try:
            path.mkdir(parents=True, exist_ok=True)
            scene = cls(path, {"schema": SCHEMA_VERSION, "conventions": CONVENTIONS, "stages": {}})
            scene._write()
        except OSError as error:
            raise InputError(
                f"expected a writable folder for the scene, got {path}: {error.strerror}; "
                "use --scene DIR"
            ) from error
        return scene

    @classmethod
    def open(cls, path: str | Path) -> Scene:
        """The existing scene at `path`.

        Raises:
            InputError: there is no scene. StaleSceneError: it has another schema version.
        """
        path = Path(path)
        try:
            manifest = read_json(path / "scene.json")
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(
                f"expected a scene folder with scene.json, got {path}; "
                "make one with: recon run VIDEO"
            ) from None
        except (ValueError, OSError) as error:
            raise StaleSceneError(
                f"expected a readable scene.json in {path}, got: {error}; "
                "delete the folder and run again"
            ) from error
        schema = manifest.get("schema") if isinstance(manifest, dict) else None
        if isinstance(manifest, dict) and schema != SCHEMA_VERSION:
            raise StaleSceneError(
                f"expected scene schema {SCHEMA_VERSION}, got {schema!r:.80} in {path}; "
                "run the video again into a new folder"
            )
        try:
            check_manifest(manifest)
        except ValueError as error:
            raise StaleSceneError(
                f"expected a scene.json with stages as recon writes it in {path}, got: {error}; "
                "run the video again into a new folder"
            ) from error
        return cls(path, manifest)

    def _write(self) -> None:
        text = json.dumps(self.manifest, indent=1, ensure_ascii=False)
        write_atomic(self.path / "scene.json", lambda file: file.write(text.encode("utf-8")))

    # Results ---------------------------------------------------------------------------------

    @property
    def video(self) -> VideoInfo:
        """The clip this scene was made from."""
        return self._load("video", "video.npz", VideoInfo)[0]

    @property
    def found_tracks(self) -> list[PersonTrack]:
        """Everybody the tracker found, before people were chosen, merged or dropped."""
        return self._load("tracking", "tracking.npz", PersonTrack)

    @property
    def tracks(self) -> list[PersonTrack]:
        """The people of the scene, most important first; empty if nobody was seen."""
        tracks = self._load("people", "people.npz", PersonTrack)
        self._check_frames("people", tracks)
        return tracks

    @property
    def camera(self) -> CameraTrajectory:
        """Intrinsics and trajectory in the slam frame."""
        camera = self._load("camera", "camera.npz", CameraTrajectory)[0]
        self._check_cameras("camera", len(camera.Ts_slam_camera))
        return camera

    @property
    def keyframe_depth(self) -> KeyframeDepth | None:
        """Dense depth of the camera's keyframes; None where the camera stood or only turned."""
        depth = self._load("camera", "depth.npz", KeyframeDepth, optional=True)
        return depth[0] if depth else None

    @property
    def ground(self) -> GroundView | None:
        """The plane that people stand on; None where the camera walks or too few stood in view."""
        ground = self._load("camera", "ground.npz", GroundView, optional=True)
        return ground[0] if ground else None

    @property
    def camera_motions(self) -> list[CameraMotion]:
        """Fitted bodies in the camera frame."""
        motions = self._load("body", "body.npz", CameraMotion)
        self._check_frames("body", motions)
        self._check_poses("body", [m.poses_camera for m in motions])
        return motions

    @property
    def rigs(self) -> list[Rig]:
        """The skinned body of each motion, in the order of `camera_motions`."""
        return list(self.rigs_by_id.values())

    @property
    def rigs_by_id(self) -> dict[int, Rig]:
        """The same by track id."""
        rigs, ids = self._load("body", "rigs.npz", Rig), self._track_ids("body", "body.npz")
        if len(rigs) != len(set(ids)):
            raise self._unlike("body", f"a body for each of {len(ids)} people", len(rigs))
        return dict(zip(ids, rigs, strict=True))

    @property
    def placement(self) -> WorldPlacement:
        """Metric scale, gravity and floor, and the camera in the world."""
        placement = self._load("world", "placement.npz", WorldPlacement)[0]
        self._check_cameras("world", len(placement.Ts_world_camera))
        return placement

    @property
    def world_motions(self) -> list[WorldMotion]:
        """Bodies in the world frame."""
        motions = self._load("world", "world.npz", WorldMotion)
        self._check_frames("world", motions)
        self._check_poses("world", [m.poses_world for m in motions])
        fitted, ids = self._track_ids("body", "body.npz"), [m.track_id for m in motions]
        if sorted(ids) != sorted(fitted):
            raise self._unlike("world", f"the people {fitted} who were fitted", ids)
        return motions

    def _load(
        self, stage: StageName, name: str, kind: type, *, optional: bool = False
    ) -> list[Any]:
        if stage not in self.manifest["stages"]:
            raise StaleSceneError(
                f"expected the stage '{stage}' in {self.path}, which has not run; "
                "finish it with: recon run VIDEO"
            )
        if optional and not (self.path / name).exists():
            return []
        try:
            return load_items(self.path / name, kind)
        except ReconError as error:
            raise StaleSceneError(
                f"{error}; make it again with: recon run VIDEO --force {stage}"
            ) from error

    def _check_frames(self, stage: StageName, people: Sequence[Any]) -> None:
        """Raises StaleSceneError for people in frames that the video does not have."""
        last = max((int(p.frame_idx[-1]) for p in people if len(p.frame_idx)), default=-1)
        if last >= 0 and last >= (frames := len(self.video.times)):
            raise self._unlike(
                stage, f"people in the {frames} frames of the video", f"frame {last}"
            )

    def _check_cameras(self, stage: StageName, count: int) -> None:
        """Raises StaleSceneError unless every frame of the video has its camera."""
        if count != (frames := len(self.video.times)):
            raise self._unlike(stage, f"cameras for the {frames} frames of the video", count)

    def _check_poses(self, stage: StageName, people: Sequence[BodyPoses]) -> None:
        """Raises StaleSceneError for joints that are not turned but squeezed or mirrored.

        Here and not in BodyPoses, which solvers make all the time.
        """
        try:
            for poses in people:
                check_rotations("rotations", poses.rotations)
        except ReconError as error:
            raise self._unlike(stage, "poses", str(error)) from error

    def _track_ids(self, stage: StageName, name: str) -> list[int]:
        """The people of a result file, without reading the rest of it."""
        try:
            return [int(i) for i in load_field(self.path / name, "track_id")]
        except (ReconError, TypeError, ValueError) as error:
            raise self._unlike(stage, "readable files", str(error)) from error

    def _unlike(self, stage: StageName, expected: str, actual: object) -> StaleSceneError:
        return StaleSceneError(
            f"expected {expected} in {self.path}, got {actual}; make it again with: "
            f"recon run VIDEO --force {stage}"
        )

    def save(self, name: str, items: list[Any]) -> None:
        """Writes a stage's result file; call `record` when all of them are written."""
        save_items(self.path / name, items)

    # Records ---------------------------------------------------------------------------------

    def why_stale(self, stage: StageName, config: Any, code_version: str) -> str | None:
        """Why a stage must run, in words; None if its record matches and it can be skipped."""
        record = self.manifest["stages"].get(stage)
        if record is None:
            return "not run yet"
        if record["code_version"] != code_version:
            return f"made by version {record['code_version']}, this is {code_version}"
        changed = [
            key
            for key, value in _config_dict(config).items()
            if record["config"].get(key, _MISSING) != value
        ]
        if changed:
            return f"changed: {', '.join(changed)}"
        if record["inputs"] != self._input_hashes(stage):
            return "its inputs changed"
        return self._why_unusable(stage, record["output"])

    def _why_unusable(self, stage: StageName, output_hash: str) -> str | None:
        """What happened to a stage's files since they were recorded, in words."""
        if any(not (self.path / name).exists() for name in STAGE_FILES[stage]):
            return "its files are gone"
        # The video's own file also tells where the video lies, which may change.
        if stage != "video" and self._output_hash(stage) != output_hash:
            return "its files changed"
        return None

    def record(
        self,
        stage: StageName,
        config: Any,
        report: StageReport,
        *,
        seconds: float,
        code_version: str,
    ) -> None:
        """Notes that a stage finished; its files must be written already."""
        self.manifest["stages"][stage] = {
            "config": _config_dict(config),
            "inputs": self._input_hashes(stage),
            "output": self._output_hash(stage),
            "code_version": code_version,
            "seconds": round(seconds, 3),
            **dataclasses.asdict(report),
        }
        if stage == "video":
            video = self.video
            self.manifest["video"] = {
                "path": video.path,
                "sha256": video.sha256,
                "width": video.width,
                "height": video.height,
                "times": [round(float(t), 6) for t in video.times],
            }
        self._write()

    def is_current(self, stage: StageName) -> bool:
        """Whether a stage has run, and on the results that the scene holds now."""
        record = self.manifest["stages"].get(stage)
        if record is None or record["inputs"] != self._input_hashes(stage):
            return False
        # Imported scenes lack the first stages.
        return all(self.is_current(s) for s in STAGE_INPUTS[stage] if record["inputs"][s])

    def forget(self, stage: StageName) -> None:
        """Drops a stage's record, so that the next run repeats it.

        Its optional files go too: the next run may leave none, and these would pass for its own.
        """
        if self.manifest["stages"].pop(stage, None) is not None:
            self._write()
        for name in OPTIONAL_FILES.get(stage, ()):
            (self.path / name).unlink(missing_ok=True)

    def note(self, key: str, value: Any) -> None:
        """Keeps a JSON value in scene.json beside the stages' records."""
        self.manifest[key] = value
        self._write()

    def report(self, stage: StageName) -> StageReport:
        """What a finished stage said about its result."""
        record: Mapping[str, Any] = self.manifest["stages"].get(stage, {})
        return StageReport(
            backend=record.get("backend", ""),
            decisions=tuple(Decision(**d) for d in record.get("decisions", ())),
            warnings=tuple(record.get("warnings", ())),
            numbers=dict(record.get("numbers", {})),
        )

    def seconds(self, stage: StageName) -> float | None:
        """How long a stage took, or None if it has not run."""
        record = self.manifest["stages"].get(stage)
        return None if record is None else float(record["seconds"])

    def _output_hash(self, stage: StageName) -> str:
        optional = [self.path / name for name in OPTIONAL_FILES.get(stage, ())]
        return _hash_files(
            [*(self.path / name for name in STAGE_FILES[stage]), *filter(Path.exists, optional)]
        )

    def _input_hashes(self, stage: StageName) -> dict[str, str | None]:
        stages = self.manifest["stages"]
        return {name: stages.get(name, {}).get("output") for name in STAGE_INPUTS[stage]}


_MISSING = object()


def _config_dict(config: Any) -> dict[str, Any]:
    """A config dataclass as JSON-native values, so that it compares equal after a round trip."""
    return json.loads(json.dumps(dataclasses.asdict(config), default=_json_default))


def _json_default(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"not JSON-serialisable: {type(value).__name__}")


def _hash_files(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
    return digest.hexdigest()
