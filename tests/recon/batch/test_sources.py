from __future__ import annotations

import os
from pathlib import Path

import pytest

from recon.batch.book import identity
from recon.batch.sources import find_videos, name_scenes
from recon.core.errors import InputError


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_a_folder_is_searched_but_not_what_recon_made(tmp_path: Path) -> None:
    videos = [touch(tmp_path / name) for name in ("a.mp4", "b.MOV", "ünï cödé/мой клип.webm")]
    images = touch(tmp_path / "frames" / "1.png").parent
    touch(tmp_path / "notes.txt")
    touch(tmp_path / ".hidden.mp4")
    touch(tmp_path / "out" / "a" / "overlay.mp4")
    touch(tmp_path / "old scene" / "scene.json")
    touch(tmp_path / "old scene" / "overlay.mp4")
    out = tmp_path / "out"
    assert find_videos([tmp_path], out=out, image_folders=False) == videos
    assert set(find_videos([tmp_path], out=out, image_folders=True)) == {*videos, images}


def test_lists_and_files_name_each_video_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = touch(tmp_path / "videos" / "a.mp4"), touch(tmp_path / "b.mp4")
    text = tmp_path / "videos" / "list.txt"
    text.write_text("# mine\na.mp4\n\n  ../b.mp4 \nmissing.mp4\n", encoding="utf-8-sig")
    monkeypatch.chdir(tmp_path)
    found = find_videos([Path("b.mp4"), text], out=tmp_path / "out", image_folders=False)
    assert found == [b, a, tmp_path / "videos" / "missing.mp4"]


def test_what_names_nothing_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("# nothing\n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9.mp4")
    for source, word in (
        (tmp_path / "absent", "no such file"),
        (tmp_path, "at least one video"),
        (empty, "at least one video"),
        (tmp_path / "latin.txt", "UTF-8"),
    ):
        with pytest.raises(InputError, match=word):
            find_videos([source], out=tmp_path / "out", image_folders=False)


def test_homes_of_nobody_and_names_that_cannot_be_are_absent_videos(tmp_path: Path) -> None:
    text = tmp_path / "list.txt"
    text.write_bytes(b"~nobody_here/a.mp4\na\0b.mp4\n")
    found = find_videos([text], out=tmp_path / "out", image_folders=False)
    assert found == [tmp_path / "~nobody_here" / "a.mp4", tmp_path / "a\0b.mp4"]
    assert len({identity(video, {}) for video in found}) == 1, "no file of either"
    with pytest.raises(InputError, match="no such file"):
        find_videos([Path("~nobody_here/a.mp4")], out=tmp_path / "out", image_folders=False)


def test_names_differ_and_stay() -> None:
    paths = [
        "/a/clip.mp4",
        "/b/clip.mov",
        "/b/CLIP.mp4",
        "/c/logs.mp4",
        "/d/é.mp4",
        "/e/e\u0301.mp4",
    ]
    videos = [Path(p) for p in paths]
    names = name_scenes(videos, known={}, taken=("logs",))
    assert len({n.casefold() for n in names.values()}) == len(videos)
    assert names[videos[0]] == "clip" and names[videos[3]] == "logs_2"
    known = {str(video): name for video, name in names.items()}
    more = [Path("/0/clip.mp4"), *reversed(videos)]
    again = name_scenes(more, known=known, taken=("logs",))
    assert {video: again[video] for video in videos} == names
    assert again[more[0]] not in names.values()


@pytest.mark.parametrize(
    "stem", ["..", ". ", "a" * 300, "ж" * 200, "con", 'a:b*c?"', os.fsdecode(b"\xff\xfe"), "\n\x7f"]
)
def test_every_name_is_a_folder_of_its_own(stem: str, tmp_path: Path) -> None:
    (name,) = name_scenes([Path("/v") / f"{stem}.mp4"], known={}).values()
    name.encode("utf-8")
    (tmp_path / name).mkdir()
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).resolve().parent == tmp_path.resolve()
