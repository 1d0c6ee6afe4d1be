"""Every error a user can cause: the CLI prints it as one line and exits with code 2."""

import errno

_USER_OS_ERRORS = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS,
    errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG,
}  # fmt: skip


class ReconError(Exception):
    """A problem in the user's data or set-up. The message says: expected, actual, what to do."""


class InputError(ReconError):
    """The input (video, folder, option, file) cannot be used."""


class StaleSceneError(ReconError):
    """A scene folder was written by an incompatible version or lacks what a command needs."""


class CameraError(ReconError):
    """The camera could not be tracked and no fallback was allowed."""


class MissingDependencyError(ReconError):
    """An optional package or file that the chosen option needs is not installed.

    `install`: the command that installs it, where it is not the extra's.
    """

    def __init__(self, package: str, extra: str, *, install: str | None = None) -> None:
        self.package = package
        self.extra = extra
        install = install or f"pip install 'recon3d[{extra}]'"
        super().__init__(
            f"expected the package '{package}', which is not installed; install it with: {install}"
        )


def user_message(error: BaseException) -> str | None:
    """The one line that explains an error of the user's data or set-up; None for a bug."""
    if isinstance(error, ReconError):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and error.errno in _USER_OS_ERRORS:
        place = error.filename or "the folder that it works in"
        return f"expected to use {place}, got: {error.strerror}; make room or choose another"
    return None
