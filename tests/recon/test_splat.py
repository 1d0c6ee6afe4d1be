"""`recon splat` and `recon render`: from photographs and scenes to files, and what they refuse."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from recon import cli
from recon.core.scene import Scene
from splatting.files import read_gaussians
from splatting.photos import OPENGL_TO_OPENCV
from tests.recon.clips import write_clip
from tests.splatting.test_triangulation import wall_photos
from tests.synthetic import make_scene

SHORT = ["--iterations", "150", "--gaussians", "400"]


def call(args: Sequence[str | Path]) -> int:
    """The exit code of `recon args`."""
    try:
        cli.main([str(a) for a in args])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def write_nerf(folder: Path, count: int = 6) -> Path:
    """A folder as NeRF's tools leave it."""
    photos = wall_photos(count)
    folder.mkdir()
    frames = []
    for name, image, T in zip(photos.names, photos.images, photos.Ts_world_camera, strict=True):
        cv2.imwrite(str(folder / f"{name}.png"), image[..., ::-1])
        pose = (T @ OPENGL_TO_OPENCV).tolist()
        frames.append({"file_path": f"{name}.png", "transform_matrix": pose})
    K = photos.Ks[0]
    camera = {"w": 160, "h": 120, "fl_x": K[0, 0], "fl_y": K[1, 1], "cx": K[0, 2], "cy": K[1, 2]}
    (folder / "transforms.json").write_text(json.dumps({**camera, "frames": frames}))
    return folder


@pytest.fixture(scope="module")
def splats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `recon splat` leaves of a NeRF folder."""
    folder = tmp_path_factory.mktemp("splat")
    photos, out = write_nerf(folder / "wall"), folder / "out"
    assert call(["splat", photos, "--out", out, "--held-out", "3", *SHORT]) == 0
    return out


def test_photographs_become_splats_with_their_measure(splats: Path) -> None:
    files = {path.name for path in splats.iterdir()}
    assert files == {"splats.ply", "splats.json", "checkpoint.npz", "held_out.jpg"}
    record = json.loads((splats / "splats.json").read_text())
    gaussians = read_gaussians(splats / "splats.ply")
    assert record["gaussians"] == len(gaussians) <= 400
    assert record["steps"] == 150
    assert [held["name"] for held in record["held_out"]] == ["0.png", "3.png"]
    assert record["psnr"] > 10
    near_wall = (gaussians.means[:, 2] - 3).abs().median()
    assert near_wall < 0.2, "the frame of the photographs is kept"


def test_the_same_command_goes_on_and_another_starts_anew(
    splats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = splats.parent / "wall"
    again = ["splat", photos, "--out", splats, "--held-out", "3", "--gaussians", "400"]
    assert call([*again, "--iterations", "160", "--json"]) == 0
    captured = capsys.readouterr()
    assert "goes on after 150 steps" in captured.err
    assert json.loads(captured.out)["steps"] == 160
    assert call([*again, "--iterations", "40", "--strategy", "classic"]) == 0
    err = capsys.readouterr().err
    assert "goes on" not in err and "starts anew" in err


def test_a_browser_can_watch_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("viser")
    from viewer.splats import SplatPreview

    seen: list[int] = []
    monkeypatch.setattr("recon.splat.PREVIEW_SECONDS", 0.0)
    monkeypatch.setattr(SplatPreview, "show", lambda _, cloud, **__: seen.append(len(cloud.means)))
    source = write_nerf(tmp_path / "wall")
    assert call(["splat", source, "--out", tmp_path / "out", "--preview", "--minutes", "0.08",
                 "--gaussians", "400", "--json"]) == 0  # fmt: skip
    captured = capsys.readouterr()
    assert "preview at http://127.0.0.1:" in captured.err
    assert seen and max(seen) <= 400
    record = json.loads(captured.out)
    assert 4 < record["seconds"] < 8, "the budget of minutes ends it"


def test_the_preview_without_its_package_is_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "viser", None)
    source = write_nerf(tmp_path / "wall")
    assert call(["splat", source, "--out", tmp_path / "out", "--preview", *SHORT]) == 2
    assert "recon3d[viewer]" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_gaussians_in_the_browser_have_their_shape_and_colour() -> None:
    from recon.splat_clouds import covariances
    from tests.splatting.scenes import cloud

    gaussians = cloud(20)
    found = covariances(gaussians)
    np.testing.assert_allclose(found, found.swapaxes(1, 2), atol=1e-12)
    np.testing.assert_allclose(
        np.linalg.eigvalsh(found), np.sort(gaussians.scales.numpy() ** 2, axis=1), rtol=1e-6
    )
    one = gaussians.scales[:1].numpy()[0]
    quarter = replace(gaussians, quats=torch.tensor([[1.0, 0, 0, 1.0]]).expand(20, 4))
    np.testing.assert_allclose(covariances(quarter)[0], np.diag(one[[1, 0, 2]] ** 2), atol=1e-7)


class FakeLpips:
    """As LPIPS is called; its network is the user's own."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __call__(self, rendered: torch.Tensor, photo: torch.Tensor) -> float:
        assert rendered.shape == photo.shape == (120, 160, 3)
        return 0.25


def test_lpips_is_measured_where_its_network_is_and_left_out_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = write_nerf(tmp_path / "wall"), tmp_path / "out"
    args = ["splat", source, "--out", out, "--iterations", "3", "--gaussians", "300"]
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    assert call(args) == 0
    captured = capsys.readouterr()
    assert "LPIPS is left out" in captured.err and "LPIPS" not in captured.out
    assert json.loads((out / "splats.json").read_text())["lpips"] is None
    monkeypatch.setattr("recon.evaluate.images.Lpips", FakeLpips)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "alexnet-owt-7be5be79.pth").write_bytes(b"")
    assert call(args) == 0
    captured = capsys.readouterr()
    assert "left out" not in captured.err and "LPIPS 0.250" in captured.out
    assert json.loads((out / "splats.json").read_text())["held_out"][0]["lpips"] == 0.25


@pytest.mark.parametrize("path", ["original", "orbit", "orbits", "spline", "circles", "spiral"])
def test_a_path_is_rendered_to_a_video(path: str, splats: Path, tmp_path: Path) -> None:
    out = tmp_path / "view.mp4"
    assert call(["render", splats, "--path", path, "--frames", "4", "--size", "64", "48",
                 "-o", out]) == 0  # fmt: skip
    with av.open(str(out)) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(frames) == 4 and frames[0].shape == (48, 64, 3)
    assert frames[0].std() > 10


def test_two_eyes_with_depth_are_rendered_to_pictures(splats: Path, tmp_path: Path) -> None:
    out = tmp_path / "views"
    assert call(["render", splats, "--path", "stereo", "--baseline", "0.1", "--frames", "3",
                 "--depth", "-o", out]) == 0  # fmt: skip
    assert len(list(out.glob("frame*.png"))) == len(list(out.glob("alpha*.png"))) == 3
    depth = cv2.imread(str(out / "depth000001.png"), cv2.IMREAD_UNCHANGED)
    assert depth is not None and depth.dtype == np.uint16 and depth.shape == (120, 320)
    assert np.median(depth[depth > 0]) == pytest.approx(3000, rel=0.1)
    cameras = json.loads((out / "cameras.json").read_text())
    left, right = np.array(cameras["Ts_world_camera"])
    assert np.allclose(np.linalg.norm(left[:, :3, 3] - right[:, :3, 3], axis=1), 0.1)


def test_a_file_alone_can_be_orbited(splats: Path, tmp_path: Path) -> None:
    file = tmp_path / "alone.ply"
    file.write_bytes((splats / "splats.ply").read_bytes())
    assert call(["render", file, "--path", "orbit", "--frames", "2", "--size", "65", "49",
                 "-o", tmp_path / "o"]) == 0  # fmt: skip
    pictures = [cv2.imread(str(png)) for png in (tmp_path / "o").glob("frame*.png")]
    assert [p is not None and p.shape for p in pictures] == [(49, 65, 3)] * 2


def test_a_scene_is_trained_without_its_people(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = make_scene(
        tmp_path / "scene", num_frames=12, camera="moving", size=(96, 72),
        video_path=tmp_path / "walk.mp4",
    )  # fmt: skip
    assert call(["splat", scene.path, "--every", "2", *SHORT]) == 0
    record = json.loads((scene.path / "splats" / "splats.json").read_text())
    assert record["pictures"] + len(record["held_out"]) == 6
    assert record["notes"] == []
    out = tmp_path / "orbit.mp4"
    assert call(["render", scene.path, "--path", "orbit", "--frames", "2", "-o", out]) == 0
    assert out.exists()


def test_pictures_that_cannot_be_used_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_nerf(tmp_path / "wall")
    (source / "2.png").unlink()
    (source / "4.png").write_bytes(b"\x89PNG nonsense")
    assert call(["splat", source, "--out", tmp_path / "out", *SHORT[2:], "--iterations", "2"]) == 0
    assert "2 of 6 listed pictures are missing or cannot be read" in capsys.readouterr().err


def test_wrong_poses_and_exposures_are_refined_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_nerf(tmp_path / "wall", count=8)
    for index in (1, 4, 6):
        file = str(source / f"{index}.png")
        cv2.imwrite(file, (0.6 * np.asarray(cv2.imread(file))).astype(np.uint8))
    change(source, lambda d: d["frames"][4]["transform_matrix"][0].__setitem__(3, 0.1))
    given = json.loads((source / "transforms.json").read_text())["frames"]
    out = tmp_path / "out"
    assert call(["splat", source, "--out", out, "--held-out", "4", "--refine-poses", "--exposure",
                 "--iterations", "60", "--gaussians", "800"]) == 0  # fmt: skip
    assert "their own poses or exposure found first" in capsys.readouterr().out
    record = json.loads((out / "splats.json").read_text())
    dark = next(held for held in record["held_out"] if held["name"] == "4.png")
    assert record["fitted"]["psnr"] > record["psnr"] + 1, dark
    moved = np.array(record["cameras"]["Ts_world_camera"])
    kept = np.array([f["transform_matrix"] for f in given if f["file_path"] not in
                     ("0.png", "4.png")]) @ OPENGL_TO_OPENCV  # fmt: skip
    shift = np.linalg.norm(moved[:, :3, 3] - kept[:, :3, 3], axis=1)
    assert 1e-4 < shift.max() < 0.1


def test_a_camera_that_stands_is_told_what_to_expect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = make_scene(tmp_path / "s", num_frames=8, size=(96, 72), video_path=tmp_path / "w.mp4")
    assert call(["splat", scene.path, "--iterations", "3", "--gaussians", "300"]) == 0
    assert "stands at one place" in capsys.readouterr().err


def change(folder: Path, edit: Callable[[dict], object]) -> Path:
    """The NeRF folder with its transforms.json edited."""
    path = folder / "transforms.json"
    data = json.loads(path.read_text())
    edit(data)
    path.write_text(json.dumps(data))
    return folder


def nan_points(folder: Path) -> Scene:
    """A scene whose points were spoiled."""
    scene = make_scene(folder / "nan", num_frames=8, camera="moving", video_path=folder / "v.mp4")
    with np.load(scene.path / "camera.npz") as data:
        arrays = dict(data)
    arrays["0.points_slam"][3] = np.nan
    np.savez(scene.path / "camera.npz", **arrays)
    return scene


def spoiled_colmap(folder: Path) -> Path:
    (folder / "cameras.bin").write_bytes(b"\x05")
    return folder


BAD: dict[str, tuple[Callable[[Path], Path], list[str], str]] = {
    "nothing there": (lambda f: f / "no", [], "expected a scene"),
    "a video, not a scene": (lambda f: write_clip(f / "v.mp4"), [], "expected a scene"),
    "no pictures": (
        lambda f: change(write_nerf(f / "a"), lambda d: d.update(frames=[])), [], "pictures",
    ),
    "pictures that do not exist": (
        lambda f: change(
            write_nerf(f / "a"), lambda d: [x.update(file_path="no.png") for x in d["frames"]]
        ), [], "got none of 6",
    ),
    "one picture": (
        lambda f: change(write_nerf(f / "a"), lambda d: d.update(frames=d["frames"][:1])), [],
        "2 pictures",
    ),
    "missing poses": (
        lambda f: change(
            write_nerf(f / "a"), lambda d: [x.pop("transform_matrix") for x in d["frames"]]
        ), [], "transform_matrix",
    ),
    "a pose with NaN": (
        lambda f: change(
            write_nerf(f / "a"),
            lambda d: d["frames"][0].update(transform_matrix=[[float("nan")] * 4] * 4),
        ), [], "finite Ts_world_camera",
    ),
    "a pose of another shape": (
        lambda f: change(
            write_nerf(f / "a"), lambda d: d["frames"][0].update(transform_matrix=[[1, 2], [3, 4]])
        ), [], "ValueError",
    ),
    "a pose that is none": (
        lambda f: change(
            write_nerf(f / "a"),
            lambda d: d["frames"][0].update(transform_matrix=np.zeros((4, 4)).tolist()),
        ), [], "first that of 0.png",
    ),
    "a mirrored pose": (
        lambda f: change(
            write_nerf(f / "a"),
            lambda d: d["frames"][1].update(transform_matrix=np.diag([1, 1, -1, 1]).tolist()),
        ), [], "first that of 1.png",
    ),
    "pictures of another size than their camera": (
        lambda f: change(write_nerf(f / "a"), lambda d: d.update(w=320)), [], "to be 320x",
    ),
    "a focal length below zero": (
        lambda f: change(write_nerf(f / "a"), lambda d: d.update(fl_y=-100)), [], "focal length",
    ),
    "pictures of a few pixels": (
        lambda f: write_nerf(f / "a"), ["--scale", "0.05"], "16 px or more, got 8x6",
    ),
    "points with NaN": (lambda f: nan_points(f).path, [], "NaN"),
    "a damaged COLMAP model": (
        spoiled_colmap, [], "COLMAP",
    ),
    "nothing to train on": (lambda f: write_nerf(f / "a"), ["--held-out", "1"], "--held-out"),
    "no such back-end": (lambda f: write_nerf(f / "a"), ["--backend", "vulkan"], "rasterizer"),
    "no such network": (
        lambda f: write_nerf(f / "a"), ["--alexnet", "no.pth"], "AlexNet's weights",
    ),
    "no budget": (lambda f: write_nerf(f / "a"), ["--minutes", "-1"], "--minutes"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, extra, words = BAD[case]
    source, out = make(tmp_path), tmp_path / "result"
    assert call(["splat", source, "--out", out, *SHORT, *extra]) == 2
    captured = capsys.readouterr()
    errors = [line for line in captured.err.splitlines() if line.startswith("recon: ")]
    assert len(errors) == 1 and words in errors[0], captured.err
    assert "Traceback" not in captured.err and captured.out == ""
    assert not out.exists()


def test_cuda_kernels_without_a_cuda_device_are_refused_in_a_line(
    splats: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    source, out = write_nerf(tmp_path / "a"), tmp_path / "result"
    for args in (["splat", source, *SHORT], ["render", splats], ["splat", source, "--video"]):
        assert call([*args, "--backend", "gsplat", "--out", out]) == 2
        assert "expected a CUDA device for --backend gsplat" in capsys.readouterr().err
        assert not out.exists()


def test_rendering_refuses_what_it_cannot_show(
    splats: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = tmp_path / "alone.ply"
    alone.write_bytes((splats / "splats.ply").read_bytes())
    cut = tmp_path / "cut.ply"
    cut.write_bytes(alone.read_bytes()[:-50])
    cases: list[tuple[list[str | Path], str]] = [
        ([tmp_path / "no.ply"], "no.ply"),
        ([tmp_path / "mistyped"], "got no "),
        ([tmp_path], "recon splat"),
        ([alone, "--path", "spline"], "--path orbit"),
        ([cut, "--path", "orbit"], "cut.ply"),
        ([splats, "--size", "4", "4"], "--size"),
    ]
    assert call(["render", splats, "-o", tmp_path / "out.avi"]) == 2
    assert "ending with .mp4" in capsys.readouterr().err and not (tmp_path / "out.avi").exists()
    for args, words in cases:
        assert call(["render", *args, "-o", tmp_path / "out"]) == 2
        assert words in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
