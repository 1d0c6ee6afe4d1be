"""Every error a user can cause: the CLI prints it as one line and exits with code 2."""


class ReconError(Exception):
    """A problem in the user's data or set-up. The message says: expected, actual, what to do."""


class InputError(ReconError):
    """The input (video, folder, option, file) cannot be used."""


class StaleSceneError(ReconError):
    """A scene folder was written by an incompatible version or lacks what a command needs."""


class CameraError(ReconError):
    """The camera could not be tracked and no fallback was allowed."""


class MissingDependencyError(ReconError):
    """An optional package or file that the chosen option needs is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(
            f"expected the package '{package}', which is not installed; "
            f"install it with: pip install 'recon3d[{extra}]'"
        )
