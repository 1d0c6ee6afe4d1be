"""What Open3D needs of the machine, checked before it is loaded."""

from __future__ import annotations

import ctypes
import glob
import os
import sys
from types import ModuleType

from recon.core.errors import MissingDependencyError, ReconError

_LIBRARIES = {
    "libusb-1.0.so.0": "libusb-1.0-0",
    "libGL.so.1": "libgl1",
    "libgomp.so.1": "libgomp1",
    "libvulkan.so.1": "libvulkan1",
}
"""What Open3D loads on Linux, and the package that holds it."""


def load_open3d() -> ModuleType:
    """The package open3d with its system libraries.

    Raises:
        MissingDependencyError: it is not installed. ReconError: a system library is missing.
    """
    missing = missing_packages() if sys.platform == "linux" else []
    if missing:
        raise ReconError(
            f"expected the system packages that Open3D draws with, {' '.join(missing)} missing; "
            f"install with: sudo apt-get install -y {' '.join(missing)}  "
            "(or make a picture without them: recon view SCENE --screenshot out.png)"
        )
    try:
        import open3d  # an optional extra
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "open3d":
            raise
        raise MissingDependencyError("open3d", "viewer") from error
    except (ImportError, OSError) as error:
        raise ReconError(
            f"expected Open3D to load, got: {error}; install its system packages with: "
            "sudo apt-get install -y libusb-1.0-0 libvulkan1 mesa-vulkan-drivers libgl1"
        ) from error
    return open3d


def missing_packages() -> list[str]:
    """Debian packages that Open3D's window needs and this Linux machine lacks."""
    missing = [package for library, package in _LIBRARIES.items() if not _loads(library)]
    drivers = [f"{d}/vulkan/icd.d/*.json" for d in ("/usr/share", "/etc", "/usr/local/share")]
    named = os.environ.get("VK_DRIVER_FILES") or os.environ.get("VK_ICD_FILENAMES")
    if not named and not any(glob.glob(pattern) for pattern in drivers):
        missing.append("mesa-vulkan-drivers")
    return missing


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def check_display() -> None:
    """Raises ReconError where no window can be opened."""
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform == "linux" and not shown:
        raise ReconError(
            "expected a display to open a window on, got none (DISPLAY is not set); "
            "make a picture instead: recon view SCENE --screenshot out.png --frame N"
        )
