from __future__ import annotations

import os
import socket
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from recon.core.errors import InputError
from recon.video import VideoConfig, VideoReader
from tests.recon.clips import bad_inputs, picture, write_clip, write_images


def decode_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "recon-decode"]


def level(image: np.ndarray) -> float:
    """Brightness away from the red corner, which tells the frames of a clip apart."""
    return float(np.median(image))


def test_every_walk_yields_the_announced_frames(tmp_path: Path) -> None:
    reader = VideoReader.open(write_clip(tmp_path / "a.mp4"))
    walks = [list(reader), list(VideoReader(reader.config, reader.info))]
    for frames in walks:
        assert [f.index for f in frames] == list(range(20))
        np.testing.assert_array_equal([f.time for f in frames], reader.info.times)
        for frame in frames:
            assert frame.image.dtype == np.uint8 and frame.image.shape == (48, 64, 3)
            expected = picture(frame.index, width=64, height=48)
            assert abs(level(frame.image) - level(expected)) < 6
    for first, second in zip(*walks, strict=True):
        np.testing.assert_array_equal(first.image, second.image)


def test_red_stays_red(tmp_path: Path) -> None:
    first = next(iter(VideoReader.open(write_clip(tmp_path / "a.mp4"))))
    np.testing.assert_allclose(first.image[4, 4], [255, 0, 0], atol=30)


@pytest.mark.parametrize("name", ["vfr.mp4", "vfr.mkv"])
def test_variable_frame_rate_keeps_its_times(tmp_path: Path, name: str) -> None:
    times_ms = [0, 20, 110, 140, 300, 310]
    info = VideoReader.open(write_clip(tmp_path / name, times_ms=times_ms)).info
    np.testing.assert_allclose(info.times, np.array(times_ms) / 1000, atol=1e-9)
    assert info.warnings == ()


def test_repeated_times_are_dropped_and_reported(tmp_path: Path) -> None:
    path = write_clip(
        tmp_path / "a.mkv", times_ms=[0, 30, 30, 60, 90], codec="ffv1", pixel_format="bgr0"
    )
    reader = VideoReader.open(path)
    np.testing.assert_allclose(reader.info.times, [0, 0.03, 0.06, 0.09])
    assert "repeat" in reader.info.warnings[0]
    assert [round(level(f.image) - 40) // 4 for f in reader] == [0, 1, 3, 4]


@pytest.mark.parametrize(
    ("rotation", "corner"),
    [(0, (0, 0)), (90, (-1, 0)), (-90, (0, -1)), (180, (-1, -1))],
)
def test_rotation_metadata_is_applied(
    tmp_path: Path, rotation: int, corner: tuple[int, int]
) -> None:
    """Counter-clockwise by 90 degrees takes the red top-left corner to the bottom left."""
    reader = VideoReader.open(write_clip(tmp_path / "a.mp4", rotation=rotation))
    upright = rotation % 180 == 0
    assert (reader.info.width, reader.info.height) == ((64, 48) if upright else (48, 64))
    image = next(iter(reader)).image
    assert image.shape[:2] == (reader.info.height, reader.info.width)
    rows, cols = (slice(2, 8) if c == 0 else slice(-8, -2) for c in corner)
    red = image[rows, cols].astype(int)
    assert red[..., 0].min() > 200 and red[..., 1:].max() < 60


def test_wide_pixels_become_square(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", pixel_aspect=Fraction(3, 2))
    reader = VideoReader.open(path)
    assert (reader.info.width, reader.info.height) == (96, 48)
    assert next(iter(reader)).image.shape == (48, 96, 3)


@pytest.mark.parametrize(
    ("codec", "pixel_format", "name"),
    [("ffv1", "gray", "a.mkv"), ("ffv1", "bgra", "a.mkv"), ("libx264", "yuv420p10le", "a.mp4")],
)
def test_gray_alpha_and_ten_bit_become_rgb(
    tmp_path: Path, codec: str, pixel_format: str, name: str
) -> None:
    path = write_clip(tmp_path / name, 3, codec=codec, pixel_format=pixel_format)
    frames = list(VideoReader.open(path))
    assert frames[2].image.shape == (48, 64, 3) and frames[2].image.dtype == np.uint8
    assert abs(level(frames[2].image) - 48) < 6


@pytest.mark.parametrize(
    ("start", "end", "stride", "expected"),
    [
        (None, None, 1, range(20)),
        (0.1, None, 1, range(3, 20)),
        (None, 0.1, 1, range(0, 3)),
        (0.2, 0.5, 1, range(6, 15)),
        (0.2, 0.5, 4, range(6, 15, 4)),
    ],
)
def test_start_end_and_stride_select(
    tmp_path: Path, start: float | None, end: float | None, stride: int, expected: range
) -> None:
    path = write_clip(tmp_path / "a.mp4")
    reader = VideoReader.open(path, VideoConfig(start=start, end=end, stride=stride))
    frames = list(reader)
    np.testing.assert_allclose([f.time for f in frames], [1000 * i // 30 / 1000 for i in expected])
    assert [f.index for f in frames] == list(range(len(expected)))
    assert [round((level(f.image) - 40) / 4) for f in frames] == list(expected)


def test_a_late_start_gives_the_frames_of_the_full_walk(tmp_path: Path) -> None:
    """A late start is reached by seeking, which must not change frames or times."""
    path = write_clip(tmp_path / "a.mp4", 300)
    full = {f.time: f.image for f in VideoReader.open(path)}
    late = list(VideoReader.open(path, VideoConfig(start=7.43, end=7.9)))
    assert [f.time for f in late] == [t for t in full if 7.43 <= t < 7.9]
    for frame in late:
        np.testing.assert_array_equal(frame.image, full[frame.time])


def test_max_height_scales_down_only(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", size_wh=(128, 96))
    small = VideoReader.open(path, VideoConfig(max_height=48))
    assert (small.info.width, small.info.height) == (64, 48)
    image = next(iter(small)).image
    assert image.shape == (48, 64, 3)
    assert image[3, 3, 0] > 200 and image[3, 3, 1] < 60 and abs(int(image[-1, -1, 0]) - 40) < 6
    assert VideoReader.open(path, VideoConfig(max_height=500)).info.height == 96


def test_focal_length_from_the_container(tmp_path: Path) -> None:
    metadata = {"com.apple.quicktime.camera.focal_length.35mm_equivalent": "27"}
    path = write_clip(tmp_path / "a.mp4", size_wh=(128, 96), metadata=metadata)
    assert VideoReader.open(path).info.focal_px == pytest.approx(27 / 36 * 128)
    small = VideoReader.open(path, VideoConfig(max_height=48)).info
    assert small.focal_px == pytest.approx(27 / 36 * 64)
    assert VideoReader.open(write_clip(tmp_path / "b.mp4")).info.focal_px is None


def test_a_truncated_tail_keeps_the_good_frames(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "a.mp4", 60, size_wh=(320, 240), faststart=True).read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: len(whole) * 7 // 10])
    reader = VideoReader.open(path)
    assert 5 < len(reader.info.times) < 60
    assert any("missing" in w or "breaks off" in w for w in reader.info.warnings)
    assert len(list(reader)) == len(reader.info.times)


def test_damage_in_the_middle_is_left_out_and_reported(tmp_path: Path) -> None:
    data = bytearray(write_clip(tmp_path / "a.mp4", 60, size_wh=(320, 240)).read_bytes())
    middle = len(data) // 3
    data[middle : middle + 300] = np.random.default_rng(0).bytes(300)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    reader = VideoReader.open(path)
    assert 40 < len(reader.info.times) < 60
    assert reader.info.times[-1] == pytest.approx(1.966)
    assert any("damaged" in w or "decoded" in w for w in reader.info.warnings)
    np.testing.assert_array_equal([f.time for f in reader], reader.info.times)


def test_a_file_without_times_says_so_and_takes_fps(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.h264")
    reader = VideoReader.open(path, VideoConfig(fps=10))
    np.testing.assert_allclose(np.diff(reader.info.times), 0.1)
    assert "--fps" in reader.info.warnings[0]


def test_folder_of_images_in_numerical_order(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "f", ["im2.png", "im10.png", "im1.png"])
    (folder / "notes.txt").write_text("not an image")
    reader = VideoReader.open(folder, VideoConfig(fps=10))
    np.testing.assert_allclose(reader.info.times, [0, 0.1, 0.2])
    np.testing.assert_array_equal(
        [f.image for f in reader], [picture(i, width=64, height=48) for i in (2, 0, 1)]
    )


def test_an_edited_image_of_the_same_size_is_another_clip(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "f", ["1.bmp", "2.bmp", "3.bmp"])
    before = VideoReader.open(folder, VideoConfig(fps=10)).info.sha256
    assert VideoReader.open(folder, VideoConfig(fps=10)).info.sha256 == before
    data = bytearray((folder / "2.bmp").read_bytes())
    data[-1] ^= 255
    (folder / "2.bmp").write_bytes(data)
    assert VideoReader.open(folder, VideoConfig(fps=10)).info.sha256 != before


def test_a_codec_that_nobody_knows_is_said(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", 4)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC"))
    with pytest.raises(InputError, match="unknown codec"):
        VideoReader.open(path)


def test_folder_leaves_out_a_broken_image(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "f", ["1.png", "2.png", "3.png", "4.png"])
    (folder / "2.png").write_bytes(b"")
    (folder / "3.png").write_bytes(b"nonsense")
    info = VideoReader.open(folder, VideoConfig(fps=10)).info
    np.testing.assert_allclose(info.times, [0, 0.3])
    assert info.warnings == ("2 damaged frame(s) were left out",)


def test_focal_length_from_exif(tmp_path: Path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    for i in range(2):
        image = image_module.new("RGB", (64, 48))
        exif = image.getexif()
        exif.get_ifd(0x8769)[0xA405] = 27
        image.save(tmp_path / f"{i}.jpg", exif=exif)
    info = VideoReader.open(tmp_path, VideoConfig(fps=10)).info
    assert info.focal_px == pytest.approx(27 / 36 * 64)


def test_bad_inputs_are_one_clear_line(tmp_path: Path) -> None:
    for name, (path, config, word) in bad_inputs(tmp_path).items():
        with pytest.raises(InputError) as caught:
            VideoReader.open(path, config)
        message = str(caught.value)
        assert "\n" not in message and word in message, name


@pytest.mark.parametrize(
    "values",
    [{"stride": 0}, {"start": 2.0, "end": 1.0}, {"max_height": 0}, {"fps": 0.0}, {"fps": -1.0}],
)
def test_bad_options_are_rejected(values: dict[str, float]) -> None:
    with pytest.raises(InputError):
        VideoConfig(**values)  # type: ignore[arg-type]


def test_stopping_early_ends_the_thread(tmp_path: Path) -> None:
    reader = VideoReader.open(write_clip(tmp_path / "a.mp4", 200))
    for frame in reader:
        if frame.index == 3:
            break
    assert decode_threads() == []

    def consume() -> None:
        for frame in reader:
            assert frame.index < 3, "a consumer's own error"

    with pytest.raises(AssertionError, match="own error"):
        consume()
    assert decode_threads() == []


def test_only_a_few_frames_are_decoded_ahead(tmp_path: Path) -> None:
    """A slow consumer holds the decoder back instead of filling the memory."""
    from recon.video import _ahead

    made: list[int] = []

    def make():
        for i in range(1000):
            made.append(i)
            yield i

    items = _ahead(make(), 4)
    assert next(items) == 0
    threading.Event().wait(0.2)
    assert len(made) <= 7
    items.close()  # type: ignore[attr-defined]
    assert decode_threads() == []


def test_a_changed_file_is_an_error_not_other_frames(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", 20)
    reader = VideoReader.open(path)
    write_clip(path, 10)
    with pytest.raises(InputError, match="changed"):
        list(reader)
    assert VideoReader.open(path).info.sha256 != reader.info.sha256


def test_slow_motion_gets_the_times_of_what_was_filmed(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "slow.mp4")
    plain = VideoReader.open(path)
    slowed = VideoReader.open(path, VideoConfig(playback_speed=0.25))
    np.testing.assert_allclose(slowed.info.times, plain.info.times / 4)
    assert [frame.time for frame in slowed] == slowed.info.times.tolist()
    with pytest.raises(InputError, match="playback-speed"):
        VideoConfig(playback_speed=0)


def test_devices_and_pipes_are_no_videos(tmp_path: Path) -> None:
    """Their content has no end, or nobody ever sends any."""
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in ("/dev/zero", "/dev/null", str(tmp_path / "pipe.mp4")):
        with pytest.raises(InputError, match="a device"):
            VideoReader.open(path)


def test_a_clock_that_leaps_is_refused_with_the_place_to_cut(tmp_path: Path) -> None:
    hours = 8 * 3_600_000
    clip = write_clip(tmp_path / "a.mp4", times_ms=(0, 40, 80, hours, hours + 40, hours + 80))
    with pytest.raises(InputError, match=r"after 0\.08 s"):
        VideoReader.open(clip)
    assert len(list(VideoReader.open(clip, VideoConfig(end=1)))) == 3
    assert len(list(VideoReader.open(clip, VideoConfig(start=1)))) == 3


def test_a_playlist_reaches_for_no_network(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        lists = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n"
        for name in ("a.m3u8", "a.mp4"):
            (tmp_path / name).write_text(lists)
            with pytest.raises(InputError):
                VideoReader.open(tmp_path / name)
        with pytest.raises(TimeoutError):
            server.accept()
