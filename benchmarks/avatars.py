"""Avatars: how well they show people in new poses from new views, and what motion they correct.

Published, on other data: GaussianAvatar 29.9 dB / SSIM .980 / LPIPS .012 on NeuMan after 0.5 to 6
hours of a GPU (Hu et al. 2024), ExAvatar 31.4 dB (Moon et al. 2024), GauHuman in 1 to 2 minutes (Hu
et al. 2024). There held-out frames follow those trained on, and several find the held-out frames'
poses on the pictures themselves; here they are new motions from new views, poses as given.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import recon  # noqa: F401  (first: it tells OpenMP's threads not to spin)

# isort: split
import cv2
import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from benchmarks.avatar_subjects import Subject, render_subject
from benchmarks.common import DATA, Row, in_sections, main, row
from benchmarks.video_gaussians import measure_video
from recon.animate import animate
from recon.avatar import avatar
from recon.core.geometry import Array, matrix_to_rotvec, rotvec_to_matrix
from recon.core.people import BodyPoses
from recon.evaluate.images import Lpips
from recon.options import RunOptions
from recon.options_avatars import AnimateOptions, AvatarOptions
from recon.pipeline import run
from recon.splat_results import ALEXNET
from recon.video import VideoReader
from splatting.avatars.evaluation import cut_out, draw, score
from splatting.avatars.photos import AvatarPhotos
from splatting.avatars.training import AvatarConfig, AvatarResult, train_avatar

SEEDS, CLIPS = (21, 22, 23), ("dancer_static", "runner_moving")
SIZE, RESOLUTION, STEPS = 384, 192, 3000
QUICK = {"size": 192, "resolution": 112, "steps": 350, "train": 40, "test": 10}
"""Of --quick: one small subject and fewer pictures."""
NOISE_M, NOISE_RAD, CALM_FRAMES = 0.05, np.radians(4.0), 6.0
"""Errors given to a motion: of every frame's place and of every joint's turn, changing slowly."""


def measure(quick: bool, pictures: Path | None) -> Iterator[Row]:
    """Rows of rendered subjects, of motions corrected, of real clips, and of the other parts."""
    sections: dict[str, Callable[[], Iterator[Row]]] = {
        "subjects": partial(subject_rows, quick, pictures),
        "motion": partial(motion_rows, quick),
    }
    if not quick:
        from benchmarks.avatars_network import measure as measure_network  # which imports this

        sections |= {
            "network": partial(measure_network, quick, pictures),
            "video": partial(measure_video, quick, pictures),
            "clips": partial(clip_rows, pictures),
        }
    yield from in_sections(sections)


# Rendered subjects -------------------------------------------------------------------------------


def staged(seed: int, quick: bool) -> Subject:
    """A subject with 100 pictures to train on and 30 held out, fewer with `quick`."""
    if quick:
        return render_subject(seed, train=QUICK["train"], test=QUICK["test"], size=QUICK["size"])
    return render_subject(seed, size=SIZE)


def config_of(quick: bool) -> AvatarConfig:
    """By steps, so that a busy machine measures the same."""
    if quick:
        return AvatarConfig(steps=QUICK["steps"], resolution=QUICK["resolution"])
    return AvatarConfig(steps=STEPS, resolution=RESOLUTION)


def find_lpips() -> Lpips | None:
    """The measure, where its network is on this machine."""
    file = Path(torch.hub.get_dir()) / "checkpoints" / ALEXNET
    return Lpips(file) if file.is_file() else None


def subject_rows(quick: bool, pictures: Path | None) -> Iterator[Row]:
    """New poses from new views of people who turned about once; means last."""
    lpips, found = find_lpips(), []
    for seed in SEEDS[:1] if quick else SEEDS:
        subject, config = staged(seed, quick), config_of(quick)
        burnt = time.process_time()
        result = train_avatar(subject.rig, subject.train, config)
        burnt = time.process_time() - burnt
        scores = score(result.avatar, subject.test, distance=lpips)
        found.append(scores)
        label = f"fast, subject {seed}"
        yield from score_rows(label, scores, target=None if quick else 28.0)
        yield row(f"{label}: never seen", 100 * (1 - result.avatar.seen.mean()), "%")
        yield row(f"{label}: training", result.seconds / 60, "min")
        at_most = {} if quick else {"at_most": 600.0}
        yield row(f"{label}: training and layout, CPU time", burnt, "s", **at_most)
        yield row(f"{label}: posed and drawn", frame_rate(result, subject.test), "Hz")
        if pictures is not None:
            write_pairs(result, subject.test, pictures / f"avatars_subject_{seed}.jpg")
    if len(found) > 1:
        means = {name: float(np.mean([f[name] for f in found])) for name in found[0]}
        yield from score_rows("fast, mean of subjects", means, target=28.0)


def score_rows(label: str, scores: dict[str, float], *, target: float | None) -> Iterator[Row]:
    """The figures of held-out pictures: new poses from new views, none of it optimised."""
    bound = {} if target is None else {"at_least": target}
    yield row(f"{label}: PSNR of the crop over white", scores["psnr"], "dB", **bound)
    yield row(f"{label}: PSNR over the person", scores["psnr_person"], "dB")
    yield row(f"{label}: SSIM of the crop", scores["ssim"], "")
    if "lpips" in scores:
        yield row(f"{label}: LPIPS of the crop", scores["lpips"], "")


def frame_rate(result: AvatarResult, photos: AvatarPhotos) -> float:
    """Pictures a second, posing included."""
    draw(result.avatar.posed(photos.poses, 0), photos, 0)
    started = time.perf_counter()
    for i in range(len(photos)):
        draw(result.avatar.posed(photos.poses, i), photos, i)
    return len(photos) / (time.perf_counter() - started)


def write_pairs(result: AvatarResult, photos: AvatarPhotos, path: Path) -> None:
    """Held-out pictures, cut out, above ours."""
    columns = []
    for i in np.linspace(0, len(photos) - 1, 5).round().astype(int):
        ours = draw(result.avatar.posed(photos.poses, i), photos, i)
        columns.append(np.concatenate([cut_out(photos, i)[0].numpy(), ours.numpy()]))
    image = (255 * np.concatenate(columns, axis=1)).round().astype(np.uint8)
    cv2.imwrite(str(path), image[..., ::-1])


# Motions -----------------------------------------------------------------------------------------


def motion_rows(quick: bool) -> Iterator[Row]:
    """Errors of a wrong motion before and after training, and what correcting it is worth."""
    subject, config = staged(SEEDS[0], quick), config_of(quick)
    truth = subject.train.poses
    wrong = replace(subject.train, poses=spoilt(truth, seed=0))
    label = "motion with errors of 5 cm and 4 degrees"
    before = motion_errors(subject, truth, wrong.poses)
    for refined in (False, True):
        result = train_avatar(subject.rig, wrong, replace(config, refine_motion=refined))
        psnr = score(result.avatar, subject.test)["psnr"]
        what = "corrected" if refined else "not corrected"
        yield row(f"{label}, {what}: PSNR of new poses", psnr, "dB")
        if refined:
            after = motion_errors(subject, truth, result.motion.poses())
            for name, unit in (("place", "mm"), ("joints", "mm"), ("turns", "deg")):
                yield row(f"{label}: {name} before", before[name], unit)
                bound = round(before[name], 4)
                yield row(f"{label}: {name} after", after[name], unit, at_most=bound)


def spoilt(poses: BodyPoses, *, seed: int) -> BodyPoses:
    """The motion with errors that change slowly, alike in size in every frame."""
    rng = np.random.default_rng(seed)

    def slow(width: int) -> Array:
        noise = rng.normal(size=(len(poses.root), width, 3))
        return gaussian_filter1d(noise, CALM_FRAMES, axis=0)

    place, turns = slow(1)[:, 0], slow(22)
    place *= NOISE_M / np.linalg.norm(place, axis=-1, keepdims=True)
    turns *= NOISE_RAD / np.linalg.norm(turns, axis=-1, keepdims=True)
    rotations = poses.rotations.copy()
    rotations[:, :22] @= rotvec_to_matrix(turns)
    return BodyPoses(root=poses.root + place, rotations=rotations)


def motion_errors(subject: Subject, truth: BodyPoses, poses: BodyPoses) -> dict[str, float]:
    """Mean errors of the root ("place", mm), of the body's joints in the world ("joints", mm), and
    of the joints' rotations ("turns", degrees)."""
    joints, true_joints = (subject.rig.joints(p)[1][:, :22] for p in (poses, truth))
    apart = truth.rotations[:, :22].swapaxes(-1, -2) @ poses.rotations[:, :22]
    return {
        "place": 1e3 * float(np.linalg.norm(poses.root - truth.root, axis=-1).mean()),
        "joints": 1e3 * float(np.linalg.norm(joints - true_joints, axis=-1).mean()),
        "turns": float(np.degrees(np.linalg.norm(matrix_to_rotvec(apart), axis=-1).mean())),
    }


# Real clips --------------------------------------------------------------------------------------


def clip_rows(pictures: Path | None) -> Iterator[Row]:
    """Avatars from real videos; the truth is not known, held-out frames stand between others."""
    for clip in CLIPS:
        with tempfile.TemporaryDirectory(prefix="recon3d-avatar-") as name:
            scene = run(DATA / "videos" / f"{clip}.mp4", Path(name) / "scene",
                        RunOptions(overlay=False, formats=("npz",)))  # fmt: skip
            figures = avatar(scene.path, None, AvatarOptions(size=SIZE, iterations=STEPS))
            for key, what, unit in (
                ("psnr", "PSNR of the crop over white", "dB"),
                ("psnr_person", "PSNR over the person", "dB"), ("ssim", "SSIM of the crop", ""),
                ("cpu_seconds", "training and layout, CPU time", "s"),
            ):  # fmt: skip
                yield row(f"fast, {clip}, frames between: {what}", figures[key], unit)
            yield row(f"fast, {clip}: never seen", 100 * figures["unseen"], "%")
            if pictures is not None:
                sheet = (scene.path / "avatars" / "person_1.jpg").read_bytes()
                (pictures / f"avatars_{clip}.jpg").write_bytes(sheet)
                write_dance(scene.path, Path(name), pictures / f"avatars_{clip}_dance.jpg")


def write_dance(scene: Path, folder: Path, path: Path) -> None:
    """Moments of the avatar in a motion that its person never made."""
    (file,) = animate(scene, "dance", folder / "dance.mp4", AnimateOptions(size=(320, 400)))
    frames = [frame.image for frame in VideoReader.open(file)]
    some = [frames[i] for i in np.linspace(0.1 * len(frames), 0.9 * len(frames), 6).astype(int)]
    cv2.imwrite(str(path), np.concatenate(some, axis=1)[..., ::-1])


if __name__ == "__main__":
    main("Avatars", measure)
