"""The errors that bayescale raises: each says what was found, what is accepted and what to do."""

import difflib
import re
from collections.abc import Iterable

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What moves a terminal's cursor, starts an escape sequence, turns the direction of text, or cannot be written."""


def printable(text: str) -> str:
    """A line of text with control characters as escapes, so that a table's names and cells cannot steer a terminal."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class BayescaleError(ValueError):
    """Base of every error that a user can act on; its message is one printable line."""

    def __init__(self, message: object = "") -> None:
        super().__init__(printable(str(message)))


class DataError(BayescaleError):
    """The table cannot be used (the command line exits with 1)."""


class UsageError(BayescaleError):
    """A wrong option, name or file (the command line exits with 2)."""


class NotConverged(UserWarning):
    """What is asked of a fit that has not converged, and is therefore no answer."""


def needs_extra(what: str, extra: str) -> UsageError:
    """The error for what a plain install leaves out, with the command that adds it."""
    return UsageError(f"{what}, which a plain install leaves out: pip install 'bayescale[{extra}]'")


def did_you_mean(word: str, known: Iterable[object]) -> str:
    """The nearest known name as ' (did you mean ...?)', or nothing."""
    close = difflib.get_close_matches(word, [str(name) for name in known], n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
