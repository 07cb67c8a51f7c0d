"""The errors that bayescale raises: each says what was found, what is accepted and what to do."""

import difflib
from collections.abc import Iterable


class BayescaleError(ValueError):
    """Base of every error that a user can act on."""


class DataError(BayescaleError):
    """The table cannot be used (the command line exits with 1)."""


class UsageError(BayescaleError):
    """A wrong option, name or file (the command line exits with 2)."""


class NotConverged(UserWarning):
    """What is asked of a fit that has not converged, and is therefore no answer."""


def did_you_mean(word: str, known: Iterable[object]) -> str:
    """The nearest known name as ' (did you mean ...?)', or nothing."""
    close = difflib.get_close_matches(word, [str(name) for name in known], n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
