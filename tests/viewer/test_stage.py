"""What the window puts into its scene."""

from unittest.mock import MagicMock

from recon.core.scene import Scene
from tests.synthetic import make_scene
from viewer.stage import Content, Stage
from viewer.world import World


def test_who_is_hidden_has_no_avatar_either(tmp_path):
    make_scene(tmp_path / "s", num_people=2)
    splats = MagicMock(people=frozenset({1, 2}))
    content = Content(world=World.from_scene(Scene.open(tmp_path / "s")), splats=splats)
    splats.place.return_value = splats.cast.return_value = None
    stage = Stage(MagicMock(), MagicMock(), content, 1.0)
    stage.show(0)
    assert splats.cast.call_args.kwargs["without"] == set()
    stage.shown["mesh"].discard(2)
    stage.show(0)
    assert splats.cast.call_args.kwargs["without"] == {2}
