"""The errors that a user can cause or meet: the command line shows each as one line, without a traceback."""


class LatentReplayError(Exception):
    """Something could not be done. The message, one line, names what, why and what to do; exit status 1."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))  # a name in it may hold a line break


class UsageError(LatentReplayError):
    """The request itself was wrong. The message names the value and what would be right; exit status 2."""
