"""Files of Gaussians: round trips, another library's files, and files that are damaged."""

from __future__ import annotations

import gzip
import io
import json
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial import KDTree

from recon.core.errors import InputError, MissingDependencyError
from splatting.axes import to_axes
from splatting.files import FORMATS, FormatName, read_gaussians, write_gaussians
from splatting.formats.palette import codebook, morton_order, nearest, palette
from splatting.gaussians import Gaussians
from tests.splatting.scenes import cloud

NAMES = ("means", "quats", "scales", "opacities", "sh")
SUFFIXES = (".ply", ".splat", ".spz", ".sog")
# Largest error of: position (m), rotation (rad), log scale, opacity, base colour coefficient.
# Half a step each; of three stored components of a rotation, half a step times 2 √12.
TOLERANCES = {
    ".ply": (1e-6, 1e-3, 1e-6, 1e-6, 1e-6),
    ".splat": (1e-6, 0.02, 1e-6, 0.5 / 255, 0.5 / 255 / 0.28),
    ".spz": (2**-13, 0.005, 1 / 32, 0.5 / 255, 0.5 / 255 / 0.15),
    ".sog": (5e-4, 0.02, 0.03, 0.5 / 255, 0.02),
}
HEADER = ["ply", "format binary_little_endian 1.0"]
PROPERTIES = [f"f_dc_{i}" for i in range(3)] + ["opacity"] + [f"scale_{i}" for i in range(3)]
PROPERTIES = ["x", "y", "z", *PROPERTIES, *(f"rot_{i}" for i in range(4))]


def scene(count: int = 300, *, degree: int = 3) -> Gaussians:
    """Gaussians whose colours lie within what every format can tell."""
    found = cloud(count, degree=degree).to(torch.float32)
    return take(found, slice(None), sh=(found.sh * 0.5).clip(-0.9, 0.9))


def take(gaussians: Gaussians, rows: Any, **changed: torch.Tensor) -> Gaussians:
    values = {name: getattr(gaussians, name) for name in NAMES} | changed
    return Gaussians(**{name: value[rows] for name, value in values.items()})


def angles(one: Gaussians, two: Gaussians) -> torch.Tensor:
    """Between the orientations, radians."""
    unit = torch.nn.functional.normalize
    dots = (unit(one.quats.double(), dim=-1) * unit(two.quats.double(), dim=-1)).sum(-1)
    return 2 * torch.arccos(dots.abs().clip(max=1))


def assert_near(found: Gaussians, expected: Gaussians, suffix: str) -> None:
    mean, angle, log_scale, opacity, base = TOLERANCES[suffix]
    rounding = 1e-5
    assert (found.means - expected.means).abs().max() <= mean + rounding
    assert angles(found, expected).max() <= angle + rounding
    assert (found.scales / expected.scales).log().abs().max() <= log_scale + rounding
    assert (found.opacities - expected.opacities).abs().max() <= opacity + rounding
    assert (found.sh[:, 0] - expected.sh[:, 0]).abs().max() <= base + rounding


def in_file_order(gaussians: Gaussians, suffix: str) -> Gaussians:
    if suffix != ".sog":
        return gaussians
    return take(gaussians, morton_order(to_axes(gaussians, "y-down").means.numpy()))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("degree", range(4))
def test_what_is_written_is_read_within_the_format_s_rounding(
    tmp_path: Path, suffix: str, degree: int
) -> None:
    file, expected = tmp_path / f"a{suffix}", scene(degree=degree)
    write_gaussians(file, expected)
    found, expected = read_gaussians(file), in_file_order(expected, suffix)
    if suffix == ".splat":
        assert found.sh_degree == 0
        # Colours are bytes: what is darker than black is black.
        base = (0.5 / 0.2820948) * torch.tensor([-1.0, 1.0])
        expected = take(expected, slice(None), sh=expected.sh.clip(*base.tolist()))
    else:
        assert found.sh_degree == degree
        # .spz has steps of 1/16, and the turn to its axes mixes the terms of a degree; .sog has as
        # many colours as its palette, which noise fills badly.
        largest, typical = {".ply": (1e-5, 1e-5), ".spz": (0.06, 0.02), ".sog": (0.8, 0.08)}[suffix]
        assert (found.sh - expected.sh).abs().max() <= largest
        assert (found.sh - expected.sh).square().mean().sqrt() <= typical
    assert_near(found, expected, suffix)


@pytest.mark.parametrize("suffix", [".ply", ".splat", ".spz"])
def test_a_second_rounding_changes_nothing(tmp_path: Path, suffix: str) -> None:
    """(A .sog's codebooks are fitted anew.)"""
    file = tmp_path / f"a{suffix}"
    write_gaussians(file, scene(), viewer_axes="z-up")
    before = read_gaussians(file, viewer_axes="z-up")
    write_gaussians(file, before, viewer_axes="z-up")
    after = read_gaussians(file, viewer_axes="z-up")
    for name in ("means", "scales", "opacities", "sh"):
        torch.testing.assert_close(getattr(after, name), getattr(before, name))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rotations_whose_two_largest_components_tie_survive(tmp_path: Path, suffix: str) -> None:
    """Turning an upright Gaussian to y-down makes just these."""
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 4)
    quats = torch.cat((torch.eye(4), -torch.eye(4), signs * torch.tensor([1, 1, 0, 0]), signs))
    expected = take(scene(len(quats), degree=0), slice(None), quats=quats)
    write_gaussians(tmp_path / f"a{suffix}", expected)
    found = read_gaussians(tmp_path / f"a{suffix}")
    assert angles(found, in_file_order(expected, suffix)).max() < 0.02


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_single_gaussian_at_the_limits_is_kept(tmp_path: Path, suffix: str) -> None:
    one = Gaussians(
        means=torch.tensor([[1.0, -2.0, 3.0]]),
        quats=torch.tensor([[2.0, 0.0, 0.0, 0.0]]),
        scales=torch.tensor([[0.0, 0.01, 0.1]]),
        opacities=torch.ones(1),
        sh=torch.zeros(1, 16, 3),
    )
    write_gaussians(tmp_path / f"a{suffix}", one)
    found = read_gaussians(tmp_path / f"a{suffix}")
    torch.testing.assert_close(found.means, one.means, atol=2e-4, rtol=0)
    torch.testing.assert_close(found.opacities, one.opacities)
    assert found.scales[0, 0] < 1e-4


def test_far_scenes_keep_their_place_in_spz(tmp_path: Path) -> None:
    far = take(scene(), slice(None), means=scene().means * 3000)
    write_gaussians(tmp_path / "a.spz", far)
    assert (read_gaussians(tmp_path / "a.spz").means - far.means).abs().max() < 0.01
    with pytest.raises(InputError, match="within"):
        write_gaussians(tmp_path / "b.spz", take(far, slice(None), means=far.means * 1e6))
    assert not (tmp_path / "b.spz").exists()


@pytest.mark.parametrize(("format", "count"), [("ply", 62), ("ply-without-normals", 59)])
def test_the_ply_has_the_published_layout(tmp_path: Path, format: FormatName, count: int) -> None:
    file, expected = tmp_path / "a.ply", scene(4)
    write_gaussians(file, expected, viewer_axes="z-up", format=format)
    head, _, body = file.read_bytes().partition(b"end_header\n")
    lines = head.decode().splitlines()
    assert lines[:3] == [*HEADER, "element vertex 4"]
    names = [line.split()[-1] for line in lines if line.startswith("property float ")]
    normals = ["nx", "ny", "nz"] if count == 62 else []
    rest = [f"f_rest_{i}" for i in range(45)]
    dc = ["f_dc_0", "f_dc_1", "f_dc_2"]
    assert names == ["x", "y", "z", *normals, *dc, *rest, *PROPERTIES[6:]]
    row = dict(zip(names, np.frombuffer(body, "<f4").reshape(4, count)[2], strict=True))
    assert row["f_rest_15"] == expected.sh[2, 1, 1]  # after all of red, the first of green
    assert row["f_rest_44"] == expected.sh[2, 15, 2]
    assert row["rot_0"] == expected.quats[2, 0]
    assert row["scale_1"] == pytest.approx(float(expected.scales[2, 1].log()), rel=1e-6)
    opacity = float(expected.opacities[2])
    assert row["opacity"] == pytest.approx(np.log(opacity / (1 - opacity)), rel=1e-5)


def test_a_scene_stands_upright_in_each_viewer(tmp_path: Path) -> None:
    top = take(scene(1, degree=0), slice(None), means=torch.tensor([[0.0, 0.0, 2.0]]))
    for suffix, up in ((".ply", [0, -2, 0]), (".splat", [0, -2, 0]), (".spz", [0, 2, 0])):
        write_gaussians(tmp_path / f"a{suffix}", top)
        raw = read_gaussians(tmp_path / f"a{suffix}", viewer_axes="z-up")
        assert raw.means[0].tolist() == pytest.approx(up)


def test_a_ply_says_itself_that_it_is_z_up(tmp_path: Path) -> None:
    expected = scene()
    write_gaussians(tmp_path / "a.ply", expected, viewer_axes="z-up")
    found = read_gaussians(tmp_path / "a.ply")
    for name in ("means", "quats", "sh"):
        assert torch.equal(getattr(found, name), getattr(expected, name))
    other = read_gaussians(tmp_path / "a.ply", viewer_axes="y-down")
    assert not torch.equal(other.means, expected.means)


# Another library's files -------------------------------------------------------------------------


def convert(data: bytes, source: str, target: str, version: int = 3) -> bytes:
    gaussforge = pytest.importorskip("gaussforge", reason="the other library")
    result = gaussforge.GaussForge().convert(data, source, target, spz_version=version)
    assert "error" not in result, result
    return result["data"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("degree", [0, 3])
def test_another_library_reads_our_file_as_we_do(tmp_path: Path, suffix: str, degree: int) -> None:
    ours, theirs = tmp_path / f"a{suffix}", tmp_path / "b.ply"
    write_gaussians(ours, scene(degree=degree))
    theirs.write_bytes(convert(ours.read_bytes(), suffix[1:], "ply"))
    expected = read_gaussians(ours, viewer_axes="z-up")
    found = read_gaussians(theirs, viewer_axes="z-up")
    torch.testing.assert_close(found.means, expected.means, atol=1e-5, rtol=0)
    assert angles(found, expected).max() < 2e-3
    torch.testing.assert_close(found.scales, expected.scales, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(found.opacities, expected.opacities, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.sh, expected.sh, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("suffix", "version"), [(".splat", 3), (".spz", 2), (".spz", 3), (".spz", 4), (".sog", 3)]
)
def test_we_read_another_library_s_file(tmp_path: Path, suffix: str, version: int) -> None:
    ours, theirs = tmp_path / "a.ply", tmp_path / f"b{suffix}"
    expected = scene(degree=1)
    # Its .sog takes rotations for unit ones, which those of a .ply need not be.
    unit = torch.nn.functional.normalize(expected.quats, dim=-1)
    expected = take(expected, slice(None), quats=unit)
    write_gaussians(ours, expected, viewer_axes="z-up")
    theirs.write_bytes(convert(ours.read_bytes(), "ply", suffix[1:], version))
    found = read_gaussians(theirs, viewer_axes="z-up")
    rows = np.asarray(KDTree(expected.means.numpy()).query(found.means.numpy())[1])
    assert len(np.unique(rows)) == len(expected)
    expected = take(expected, rows)
    assert (found.means - expected.means).abs().max() < 1e-3
    # Version 2 has eight bits for each of x, y and z: w near zero is lost.
    assert angles(found, expected).max() < (0.15 if version == 2 else 0.02)
    assert (found.scales / expected.scales).log().abs().max() < 0.05
    assert (found.opacities - expected.opacities).abs().max() < 1.01 / 255
    if suffix != ".splat":
        assert found.sh_degree == 1
        assert (found.sh - expected.sh).square().mean().sqrt() < 0.05


# Damaged and hostile files -----------------------------------------------------------------------


def ply(count: object, names: list[str], data: bytes, order: str = HEADER[1]) -> bytes:
    lines = ["ply", order, f"element vertex {count}", *(f"property float {n}" for n in names)]
    return "\n".join([*lines, "end_header", ""]).encode() + data


def rows(count: int, **changed: float) -> bytes:
    table = np.ones((count, len(PROPERTIES)), "<f4")
    for name, value in changed.items():
        table[1, PROPERTIES.index(name)] = value
    return table.tobytes()


def spz(count: int, data: bytes, *, version: int = 3, degree: int = 0, flags: int = 0) -> bytes:
    header = struct.pack("<4sIIBBBB", b"NGSP", version, count, degree, 12, flags, 0)
    return gzip.compress(header + data)


def spz4(count: int, data: bytes, *, claimed: int | None = None) -> bytes:
    """Version 4 of degree 0, each block as long as `data`."""
    packed = pytest.importorskip("zstandard").ZstdCompressor().compress(data)
    head = struct.pack("<4sIIBBBBI12x", b"NGSP", 4, count, 0, 12, 0, 5, 32)
    sizes = struct.pack("<QQ", len(packed) if claimed is None else claimed, len(data)) * 5
    return head + sizes + packed * 5


def picture(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("L", (width, height), 255).save(out, "PNG")
    return out.getvalue()


def sog(
    changed: dict[str, Any] | None = None, files: dict[str, bytes] | None = None, *,
    method: int = zipfile.ZIP_DEFLATED,
) -> bytes:  # fmt: skip
    book = [0.0] * 256
    meta = {
        "version": 2,
        "count": 4,
        "means": {"mins": [0] * 3, "maxs": [1] * 3, "files": ["l", "u"]},
        "scales": {"codebook": book, "files": ["s"]},
        "quats": {"files": ["q"]},
        "sh0": {"codebook": book, "files": ["c"]},
    }
    members = {name: picture(2, 2) for name in "lusqc"} | (files or {})
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method, compresslevel=1) as archive:
        archive.writestr("meta.json", json.dumps(meta | (changed or {})))
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


BAD_FILES = {
    "not a ply": (".ply", b"hello, this is no such file\n", "begins with the line 'ply'"),
    "empty": (".ply", b"", "begins with the line 'ply'"),
    "an ascii ply": (".ply", ply(2, PROPERTIES, b"", "format ascii 1.0"), "save it as binary"),
    "a header without end": (".ply", b"ply\nformat binary_little_endian 1.0\n", "end_header"),
    "a count that is no number": (".ply", ply("x", PROPERTIES, b""), "valid .ply header"),
    "a negative count": (".ply", ply(-3, PROPERTIES, b""), "count -3"),
    "a property twice": (".ply", ply(2, ["x", *PROPERTIES], b""), "valid .ply header"),
    "a point cloud": (".ply", ply(2, ["x", "y", "z"], b"\0" * 24), "none named f_dc_0"),
    "unknown properties": (".ply", ply(2, [*PROPERTIES, "beta"], b"\0" * 120), "also beta"),
    "too many colours": (".ply", ply(2, [*PROPERTIES, "f_rest_0"], b"\0" * 120), "0, 9, 24 or 45"),
    "a compressed ply": (".ply", ply(2, ["packed_position"], b"\0" * 8), "compressed"),
    "no vertices": (".ply", ply(0, PROPERTIES, b""), "at least one"),
    "no vertex element": (".ply", b"ply\n" + HEADER[1].encode() + b"\nend_header\n", "'vertex'"),
    "cut short": (".ply", ply(3, PROPERTIES, rows(3)[:-1]), "cut short"),
    "a claim of 4 GB": (".ply", ply(4 * 2**30 // 44, PROPERTIES, b"\0" * 900), "claims"),
    "a claim of 2 GB": (".ply", ply(48_000_000, PROPERTIES, b"\0" * 900), "cut short"),
    "a claim of 10^10": (".ply", ply(10**10, PROPERTIES, b"\0" * 900), "at most 50000000"),
    "NaN": (".ply", ply(3, PROPERTIES, rows(3, y=np.nan)), r"means of 1 of 3 .*first: 1"),
    "an infinite scale": (".ply", ply(3, PROPERTIES, rows(3, scale_0=200)), "in the scales"),
    "part of a row": (".splat", b"\1" * 40, "32 bytes per Gaussian"),
    "no rows": (".splat", b"", "at least one"),
    "a ply named splat": (".splat", ply(1, PROPERTIES, rows(1)).ljust(512, b"\xbf"), "splat"),
    "no gzip": (".spz", b"no gzip at all", "gzip"),
    "another gzip": (".spz", gzip.compress(b"x" * 100), "NGSP"),
    "spz cut short": (".spz", spz(9, b"\1" * 20 * 9)[:-9], "damaged"),
    "spz with too little": (".spz", spz(9, b"\1" * 20 * 8), "cut short"),
    "spz without Gaussians": (".spz", spz(0, b""), "at least one"),
    "spz that claims 4 billion": (".spz", spz(2**32 - 1, b"\0" * 900), "at most 50000000"),
    "spz that claims 1 GB": (".spz", spz(45_000_000, b"\0" * 900), "exhaust memory"),
    "spz of version 5": (".spz", spz(1, b"\0" * 90, version=5), "version 2 to 4"),
    "spz of degree 4": (".spz", spz(1, b"\0" * 900, degree=4), "degree 0 to 3"),
    "spz with extensions": (".spz", spz(1, b"\0" * 90, flags=2), "vendor extensions"),
    "no zip": (".sog", b"PK\3\4 and then nothing", "SOG of version 2"),
    "a zip bomb": (".sog", sog(files={"l": bytes(70 << 20)}), "exhaust memory"),
    "packed with bzip2": (".sog", sog(method=zipfile.ZIP_BZIP2), "neither stored nor deflated"),
    "a picture bomb": (".sog", sog(files={"q": picture(3000, 3000)}), "3000x3000"),
    "a path out of the zip": (".sog", sog({"quats": {"files": ["../q"]}}), "with a folder"),
    "no such picture": (".sog", sog({"quats": {"files": ["z"]}}), "SOG of version 2"),
    "another version": (".sog", sog({"version": 1}), "another version"),
    "sog without Gaussians": (".sog", sog({"count": 0}), "at least one"),
    "sog that claims 10^10": (".sog", sog({"count": 10**10}), "at most 50000000"),
    "sog with too few pixels": (".sog", sog({"count": 5}), "4 pixels for 5"),
    "sog with a short codebook": (".sog", sog({"sh0": {"codebook": [1], "files": ["c"]}}), "SOG"),
    "meta.json of nonsense": (".sog", sog({"means": 3}), "SOG of version 2"),
    "no picture": (".sog", sog(files={"c": b"no picture"}), "no WebP or PNG"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    suffix, data, expected = BAD_FILES[case]
    file = tmp_path / f"a{suffix}"
    file.write_bytes(data)
    with pytest.raises(InputError, match=expected) as caught:
        read_gaussians(file)
    assert "\n" not in str(caught.value)
    assert "expected" in str(caught.value)


def test_a_bad_spz_of_version_4_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "a.spz"
    for data, expected in (
        (spz4(1, b"\1" * 9)[:20], "streams of an .spz"),
        (spz4(9, b"\1" * 81)[:-1], "cut short"),
        (spz4(10, b"\1" * 81), "cut short"),
        (spz4(9, b"\1" * 81, claimed=1 << 60), "cut short|streams of an .spz"),
        (spz4(9, b"\1" * 81, claimed=2), "cut short|streams of an .spz"),
        (spz4(49_000_000, b"\0" * 81), "exhaust memory"),
    ):
        file.write_bytes(data)
        with pytest.raises(InputError, match=expected) as caught:
            read_gaussians(file)
        assert "\n" not in str(caught.value)


def test_without_zstandard_an_spz_of_version_4_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.spz").write_bytes(b"NGSP\4" + bytes(60))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(MissingDependencyError, match=r"recon3d\[spz\]"):
        read_gaussians(tmp_path / "a.spz")


def test_the_sog_that_the_bad_ones_are_made_from_is_good(tmp_path: Path) -> None:
    (tmp_path / "a.sog").write_bytes(sog())
    assert len(read_gaussians(tmp_path / "a.sog")) == 4


def test_an_unpacked_sog_is_read_but_not_from_other_folders(tmp_path: Path) -> None:
    write_gaussians(tmp_path / "a.sog", scene())
    folder = tmp_path / "loose"
    with zipfile.ZipFile(tmp_path / "a.sog") as archive:
        archive.extractall(folder)
    found, expected = read_gaussians(folder / "meta.json"), read_gaussians(tmp_path / "a.sog")
    assert torch.equal(found.means, expected.means)
    (folder / "quats.webp").rename(tmp_path / "quats.webp")
    meta = (folder / "meta.json").read_text().replace("quats.webp", "../quats.webp")
    (folder / "meta.json").write_text(meta)
    with pytest.raises(InputError, match="with a folder"):
        read_gaussians(folder / "meta.json")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damage_anywhere_is_refused_or_harmless(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"a{suffix}"
    write_gaussians(file, scene(20))
    whole = file.read_bytes()
    generator = np.random.default_rng(0)
    refused = 0
    for trial in range(60):
        data = bytearray(whole)
        if trial % 2:
            del data[int(generator.integers(len(data))) :]
        else:
            # The headers lie at the beginning; a zip's lies at the end.
            for at in generator.integers(min(300, len(data)), size=3):
                data[at if suffix != ".sog" or trial % 4 else -at - 1] ^= 1 << trial % 8
        file.write_bytes(data)
        try:
            read_gaussians(file)
        except InputError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused >= 25


def test_a_missing_file_and_an_unknown_suffix_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file"):
        read_gaussians(tmp_path / "none.ply")
    for call in (read_gaussians, lambda f: write_gaussians(f, scene(3))):
        with pytest.raises(InputError, match=r"ends with \.ply"):
            call(tmp_path / "a.obj")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_is_written_of_gaussians_that_are_no_good(tmp_path: Path, suffix: str) -> None:
    file, good = tmp_path / f"a{suffix}", scene(3)
    file.write_bytes(b"as it was")
    bad = (
        take(good, slice(None), means=good.means * torch.nan),
        take(good, slice(None), quats=good.quats * 0),
        take(good, slice(None), quats=good.quats * 1e-30),
        take(good, slice(None), scales=-good.scales),
        take(good, slice(None), opacities=good.opacities + 1),
        take(good, slice(0)),
    )
    for gaussians in bad:
        with pytest.raises(InputError, match="expected"):
            write_gaussians(file, gaussians)
    assert [p.name for p in tmp_path.iterdir()] == [file.name]
    assert file.read_bytes() == b"as it was"


def test_a_writer_that_fails_half_way_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(file: Any, *_: Any) -> None:
        file.write(b"some")
        raise OSError("no space left on device")

    monkeypatch.setitem(FORMATS, "ply", type(FORMATS["ply"])(
        axes="y-down", read=FORMATS["ply"].read, write=fail
    ))  # fmt: skip
    with pytest.raises(InputError, match="no space left"):
        write_gaussians(tmp_path / "a.ply", scene(3))
    assert not list(tmp_path.iterdir())


# Codebooks and palettes --------------------------------------------------------------------------


def test_a_codebook_is_sorted_and_near_its_values() -> None:
    values = np.random.default_rng(0).normal(size=(2000, 3)).astype(np.float32)
    book = codebook(values)
    assert (np.diff(book) >= 0).all()
    index = nearest(values, book)
    best = np.abs(values[..., None] - book).min(-1)
    np.testing.assert_allclose(np.abs(values - book[index]), best, atol=1e-6)
    assert best.max() <= np.ptp(values) / 255


def test_a_palette_is_nearer_than_as_many_samples() -> None:
    generator = np.random.default_rng(0)
    clusters = generator.normal(size=(40, 9))
    points = clusters[generator.integers(40, size=1500)] + 0.05 * generator.normal(size=(1500, 9))
    entries, labels = palette(points)
    assert len(entries) <= 1024
    assert labels.min() >= 0
    assert labels.max() < len(entries)
    error = np.square(points - entries[labels]).mean()
    assert error < 0.5 * np.square(points - points[generator.integers(1500, size=1500)]).mean()
    assert error < 0.05**2
