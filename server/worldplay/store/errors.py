"""Why the stores of walks and of recordings refuse something."""

from worldplay.store.about import About


class StoreFullError(Exception):
    """There is no room for another walk."""


class OwnerFullError(StoreFullError):
    """There is no room for another walk of the same key or address."""


class MissingWalkError(Exception):
    """There is no such walk, or no longer."""


class ExpiredWalkError(MissingWalkError):
    """The walk's time is over."""

    def __init__(self, about: About) -> None:
        super().__init__()
        self.about = about


class RecordingsFullError(Exception):
    """There is no room for more recordings."""


class MissingRecordingError(Exception):
    """There is no such recording, or no longer."""


class TakenOverError(Exception):
    """Another server goes on with the recording, in the same folder."""


def without_path(error: OSError) -> str:
    """Say what is wrong, for the log. A path may hold the id of a kept walk, which opens it."""
    return error.strerror or type(error).__name__
