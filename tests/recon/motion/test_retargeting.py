"""The same motion on other bodies: rotations stay, feet stand."""

import numpy as np
import pytest

from recon.motion import ACTIONS, procedural, retarget
from recon.motion.retargeting import plant
from tests.recon.motion.bodies import floor_under, rig, slide


@pytest.mark.parametrize("action", ACTIONS)
def test_feet_stand_on_other_legs(action) -> None:
    source = procedural(action, rig(-1.5), seconds=8.0, fps=30.0, seed=1)
    there = retarget(source, rig(1.5))
    assert slide(there).mean() < 1e-4
    assert slide(there).max() < 1e-3
    soles = there.rig.soles(there.poses)
    assert there.contacts is not None
    above = soles[..., 2] - floor_under(there, soles)
    assert np.abs(above[there.contacts > 0.5]).max() < 2e-3
    assert above.min() > -5e-3


def test_rotations_of_the_upper_body_stay_and_the_way_grows_with_the_legs() -> None:
    source = procedural("run", rig(-1.5), seconds=4.0, seed=2)
    there = retarget(source, rig(1.5))
    upper = [0, 3, 6, 9, *range(12, 52)]
    np.testing.assert_array_equal(there.poses.rotations[:, upper], source.poses.rotations[:, upper])
    legs = [np.linalg.norm(np.diff(r.rest_joints[[1, 4, 7]], axis=0), axis=1).sum()
            for r in (source.rig, there.rig)]  # fmt: skip
    way = [np.linalg.norm(m.poses.root[-1, :2] - m.poses.root[0, :2]) for m in (source, there)]
    assert way[1] / way[0] == pytest.approx(legs[1] / legs[0], rel=0.01)
    assert there.rig is not source.rig


def test_the_same_body_gets_the_same_motion() -> None:
    source = procedural("dance", rig(), seconds=4.0, seed=0)
    there = retarget(source, rig())
    np.testing.assert_allclose(there.poses.root, source.poses.root, atol=1e-6)
    np.testing.assert_allclose(there.poses.rotations, source.poses.rotations, atol=1e-4)


def test_planting_stops_a_skater() -> None:
    source = procedural("walk", rig(), seconds=4.0, seed=0)
    skating = source.poses.root + np.linspace(0, 0.4, len(source.times))[:, None] * [1.0, 0, 0]
    poses = type(source.poses)(root=skating, rotations=source.poses.rotations)
    assert source.contacts is not None
    planted = plant(rig(), poses, source.times, source.contacts)
    on = source.contacts > 0.5
    both = on[1:] & on[:-1]
    before, after = (
        np.linalg.norm(np.diff(rig().soles(p), axis=0), axis=-1)[both].mean()
        for p in (poses, planted)
    )
    assert after < 0.1 * before
