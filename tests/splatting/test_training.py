"""Training: a known scene is learned again; masked people leave no ghosts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from recon.core.errors import InputError, StaleSceneError
from splatting.checkpoint import load_checkpoint, save_checkpoint
from splatting.densify import Classic, Mcmc
from splatting.evaluation import evaluate, fit_adjustments
from splatting.gaussians import Gaussians
from splatting.optimizer import Table
from splatting.parameters import LearningRates, Parameters, initial_gaussians
from splatting.photos import Photos
from splatting.rasterize import rasterize
from splatting.training import Training, TrainingConfig
from tests.splatting.scenes import cloud

WIDTH, HEIGHT = 36, 24


def poses(count: int) -> np.ndarray:
    """Cameras on an arc around (0, 0, 4) that look at it."""
    out = np.tile(np.eye(4), (count, 1, 1))
    for pose, angle in zip(out, np.linspace(-0.6, 0.6, count), strict=True):
        c, s = np.cos(angle), np.sin(angle)
        pose[:3, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
        pose[:3, 3] = np.array([0, 0, 4]) - pose[:3, :3] @ np.array([0, 0, 4])
    return out


def photos_of(gaussians: Gaussians, count: int = 9) -> Photos:
    """Pictures of Gaussians, with points near their centres."""
    K = np.array([[34.0, 0, WIDTH / 2], [0, 34.0, HEIGHT / 2], [0, 0, 1]])
    blank = Photos(
        images=np.zeros((count, HEIGHT, WIDTH, 3), np.uint8), Ts_world_camera=poses(count),
        Ks=np.repeat(K[None], count, 0), names=tuple(str(i) for i in range(count)),
    )  # fmt: skip
    with torch.no_grad():
        pictures = rasterize(gaussians.to(torch.float32), blank.cameras(slice(None))).colour
    points = (
        gaussians.means.numpy() + np.random.default_rng(0).normal(size=(len(gaussians), 3)) * 0.05
    )
    return replace(
        blank, images=(pictures.clamp(0, 1) * 255).round().byte().numpy(), points=points,
        colours=np.full_like(points, 0.5),
    )  # fmt: skip


def mean_scores(scores: dict[str, dict[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([s[key] for s in scores.values()])) for key in ("psnr", "ssim")}


@pytest.mark.parametrize("strategy", ["mcmc", "classic"])
def test_a_scene_is_learned_and_seen_from_a_held_out_camera(strategy) -> None:
    photos = photos_of(cloud(40, degree=0))
    training, held_out = photos.split(4)
    assert held_out is not None and len(held_out) == 3 and len(training) == 6
    config = TrainingConfig(steps=400, most=100, strategy=strategy, sh_degree=0)
    run = Training(training, config)
    before = mean_scores(evaluate(run.gaussians, held_out, config))
    after = mean_scores(evaluate(run.run(), held_out, config))
    assert after["psnr"] > before["psnr"] + 2.5, (before, after)
    assert after["ssim"] > before["ssim"] + 0.2, (before, after)
    assert len(run.gaussians) <= 100


def test_what_is_ignored_leaves_no_ghost() -> None:
    photos = photos_of(cloud(60, degree=0))
    ignored = np.zeros(photos.images.shape[:3], bool)
    ignored[:, 6:18, 8:16] = True
    spoiled = photos.images.copy()
    spoiled[ignored] = (255, 0, 255)
    config = TrainingConfig(steps=20, most=80, coarse_until=0)
    clean = Training(replace(photos, ignored=ignored), config)
    ghost = Training(replace(photos, ignored=ignored, images=spoiled), config)
    view = photos.cameras([4])
    a, b = (rasterize(run.run(), view).colour.detach() for run in (clean, ghost))
    assert (a - b).abs().max() < 0.02
    start = rasterize(Training(photos, config).gaussians, view).colour
    assert (a - start).abs().max() > 0.1, "nothing was learned"


def test_a_killed_training_goes_on_as_if_nothing_had_happened(tmp_path) -> None:
    photos = photos_of(cloud(30, degree=0))
    config = TrainingConfig(
        steps=120, most=60, sh_degree=1, coarse_until=0, exposure=True, refine_poses=True
    )
    whole, first = Training(photos, config), Training(photos, config)
    for _ in range(120):
        whole.step()
    for _ in range(70):
        first.step()
    save_checkpoint(tmp_path / "c.npz", first)
    second = Training(photos, config)
    assert load_checkpoint(tmp_path / "c.npz", second)
    for _ in range(50):
        second.step()
    assert second.steps_done == 120
    assert torch.equal(second.gaussians.means, whole.gaussians.means)
    assert torch.equal(second.adjust.poses, whole.adjust.poses)
    other = Training(photos, replace(config, most=61))
    assert not load_checkpoint(tmp_path / "c.npz", other)
    (tmp_path / "c.npz").write_bytes(b"PK nonsense")
    with pytest.raises(StaleSceneError, match="delete it to start anew"):
        load_checkpoint(tmp_path / "c.npz", second)


def test_an_interrupt_while_gaussians_are_added_leaves_the_last_whole_checkpoint(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = cloud(30, degree=0)
    photos = photos_of(few)
    config = TrainingConfig(steps=40, most=60, sh_degree=0, coarse_until=0)
    run = Training(photos, config, gaussians=few)
    taken: list[Table] = []
    take = Table.take

    def interrupted(table: Table, rows: torch.Tensor) -> None:
        taken.append(table)
        if len(taken) == 3:
            raise KeyboardInterrupt
        take(table, rows)

    run.step()
    save_checkpoint(tmp_path / "c.npz", run)
    monkeypatch.setattr(Table, "take", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    monkeypatch.undo()
    save_checkpoint(tmp_path / "c.npz", run)
    again = Training(photos, config, gaussians=few)
    assert load_checkpoint(tmp_path / "c.npz", again) and again.steps_done == 1
    assert len(again.run()) == 60


def test_the_number_grows_to_its_end_within_a_short_training() -> None:
    parameters = Parameters(cloud(50).to(torch.float32), LearningRates(), 1.0)
    photos = photos_of(cloud(50, degree=0))
    rendering = rasterize(parameters.gaussians(0), photos.cameras([0]))
    strategy, counts = Mcmc(most=500), []
    for step in range(1, 41):  # fewer steps than lie between two changes of a long training
        strategy.after_step(parameters, rendering, step=step, progress=step / 40)
        counts.append(len(parameters))
    assert counts[-1] == 500
    assert 50 < counts[12] < 500
    assert counts == sorted(counts)


def test_a_wrong_pose_is_refined() -> None:
    truth = cloud(80, degree=0)
    photos = photos_of(truth)
    wrong = photos.Ts_world_camera.copy()
    wrong[4, :3, 3] += (0.03, -0.02, 0)
    config = TrainingConfig(
        steps=300, most=80, sh_degree=0, refine_poses=True, pose_rate=2e-3, coarse_until=0
    )
    spoiled = replace(photos, Ts_world_camera=wrong)
    run = Training(spoiled, config, gaussians=truth.to(torch.float32))
    for table in run.parameters.tables.values():
        table.rates.zero_()
    run.parameters.rates = LearningRates(means=1e-30, means_at_end=1e-30)
    run.strategy = Classic(most=80, limit=1e9, least_opacity=0, reset_every=10**9)
    run.run()
    moved = run.adjust.moved(spoiled.cameras([4]).Ts_camera_world[0], 4).detach()
    centre = -moved[:3, :3].T @ moved[:3, 3]
    error = np.linalg.norm(centre.numpy() - photos.Ts_world_camera[4, :3, 3])
    assert error < 0.6 * np.linalg.norm((0.03, -0.02))


@pytest.mark.parametrize("what", ["refine_poses", "exposure"])
def test_a_held_out_picture_finds_its_own_pose_or_exposure(what: str) -> None:
    truth = cloud(80, degree=0)
    photos = photos_of(truth).take(np.array([2, 4]))
    wrong = photos.Ts_world_camera.copy()
    wrong[1, :3, 3] += (0.03, -0.02, 0)
    spoiled = {
        "refine_poses": replace(photos, Ts_world_camera=wrong),
        "exposure": replace(photos, images=(photos.images * 0.7).astype(np.uint8)),
    }[what]
    config = replace(TrainingConfig(), **{what: True})
    gaussians = truth.to(torch.float32)
    given = evaluate(gaussians, spoiled, config)
    fitted = evaluate(
        gaussians, spoiled, config, adjust=fit_adjustments(gaussians, spoiled, config)
    )
    assert fitted["4"]["psnr"] > given["4"]["psnr"] + 5
    if what == "refine_poses":
        assert fitted["2"]["psnr"] > 35, "what was right stays so"


def test_pictures_that_show_nothing_that_counts_are_not_measured() -> None:
    photos = photos_of(cloud(10, degree=0)).take(np.arange(3))
    ignored = np.zeros(photos.images.shape[:3], bool)
    ignored[1], ignored[2, :5] = True, True
    scores = evaluate(
        cloud(10, degree=0).to(torch.float32), replace(photos, ignored=ignored), TrainingConfig(),
        distance=lambda rendered, photo: float((rendered - photo).abs().max()),
    )  # fmt: skip
    assert list(scores) == ["0", "2"]
    assert scores["2"]["lpips"] < 0.01


def test_copies_look_like_the_one_they_came_from() -> None:
    one = replace(cloud(1, degree=0), opacities=torch.tensor([0.9], dtype=torch.float64))
    parameters = Parameters(one.to(torch.float32), LearningRates(), 1.0)
    view = photos_of(one).cameras([4])
    before = rasterize(parameters.gaussians(0), view).alpha.detach()
    Mcmc(most=2)._grow(parameters, 2)
    after = rasterize(parameters.gaussians(0), view).alpha.detach()
    assert len(parameters) == 2
    assert (after - before).abs().max() < 0.12
    assert after.sum() == pytest.approx(before.sum().item(), rel=0.15)


def test_dead_gaussians_move_onto_living_ones() -> None:
    gaussians = cloud(40).to(torch.float32)
    opacities = torch.where(torch.arange(40) < 10, 0.001, gaussians.opacities)
    parameters = Parameters(replace(gaussians, opacities=opacities), LearningRates(), 1.0)
    Mcmc()._relocate(parameters)
    alive = gaussians.means[10:]
    nearest = torch.cdist(parameters.means.values.detach()[:10], alive).amin(1)
    assert nearest.max() < 1e-2 < torch.pdist(alive).min()
    assert len(parameters) == 40


def test_initial_sizes_follow_the_spacing() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(4.0)] * 3), -1).reshape(-1, 3)
    first = initial_gaussians(grid * 0.1, np.full((64, 3), 0.2))
    torch.testing.assert_close(first.scales, torch.full((64, 3), 0.1), atol=1e-5, rtol=0)


def test_bad_photos_are_refused() -> None:
    photos = photos_of(cloud(5), count=3)
    with pytest.raises(InputError, match=r"2 pictures .* got 1 of 2"):
        photos.take(np.array([0, 1])).split(8)
    with pytest.raises(InputError, match="got none"):
        photos.take(np.array([], int))
    bad = photos.Ts_world_camera.copy()
    bad[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="finite Ts_world_camera"):
        replace(photos, Ts_world_camera=bad)


def test_compiling_before_a_budget_changes_nothing_that_is_learned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photos = photos_of(cloud(30, degree=0))
    config = TrainingConfig(minutes=5, steps=3, most=40)
    compiled = Training(photos, config).run()
    monkeypatch.setattr(Training, "_compile", lambda _: None)
    plain = Training(photos, config)
    assert torch.equal(compiled.means, plain.run().means)
    assert plain.steps_done == 3
