"""The errors that bayescale raises: each says what was found, what is accepted and what to do."""

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What moves a terminal's cursor, starts an escape sequence, turns the direction of text, or cannot be written."""

CODES = {
    "data": "the table cannot be used, for a reason that has no code of its own",
    "unreadable": "the file is not a table of the format that its name says",
    "no_rows": "the table has no rows, or none is left",
    "bad_cells": "cells of a column that is needed are missing or no measurements",
    "missing_column": "a column that is needed is not there",
    "ambiguous_column": "two columns could be the same one",
    "too_few_rows": "fewer rows, or distinct points, than the law has constants",
    "undetermined": "an input takes one value only",
    "metric_rises": "the metric rises with scale, and the law falls",
    "not_converged": "a saved fit has not converged and is no answer",
    "usage": "an option, an argument or a name is wrong, for a reason that has no code of its own",
    "no_file": "a file cannot be opened, or no data set has the name",
    "unknown_format": "the name of a file does not say a format that is read",
    "missing_package": "an optional package is needed",
    "unknown_column": "an option names a column that is not there",
    "nothing_selected": "no row fulfils a condition",
    "bad_condition": "a condition on rows cannot be read",
    "bad_expression": "an expression of columns cannot be read",
    "interrupted": "the command was interrupted",
    "internal": "a fault of bayescale; please report it",
}
"""What a program can branch on: ``error.code``, and ``error.code`` of what ``--json`` prints."""

_OPTIONS: ContextVar[bool] = ContextVar("options", default=False)


def printable(text: str) -> str:
    """A line of text with control characters as escapes, so that a table's names and cells cannot steer a terminal."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class BayescaleError(ValueError):
    """Base of every error that a user can act on; its message is one printable line, its `code` one of `CODES`."""

    code = "data"

    def __init__(self, message: object = "", *, code: str = "") -> None:
        super().__init__(printable(str(message)))
        if code:
            self.code = code


class DataError(BayescaleError):
    """The table cannot be used (the command line exits with 1)."""


class UsageError(BayescaleError):
    """A wrong option, name or file (the command line exits with 2)."""

    code = "usage"


class NotConverged(UserWarning):
    """What is asked of a fit that has not converged, and is therefore no answer."""


def needs_extra(what: str, extra: str, otherwise: str = "") -> UsageError:
    """The error for what a plain install leaves out, with the command that adds it, and another way out if any."""
    add = f"pip install 'bayescale[{extra}]'"
    return UsageError(f"{what}, which a plain install leaves out: {add}{otherwise}", code="missing_package")


@contextmanager
def speaking_of_options() -> Iterator[None]:
    """Messages name the command line's options, in place of Python's arguments."""
    before = _OPTIONS.set(True)
    try:
        yield
    finally:
        _OPTIONS.reset(before)


def in_words(python: str, option: str) -> str:
    """What to write where the user stands: Python's words, or the command line's."""
    return option if _OPTIONS.get() else python


def did_you_mean(word: str, known: Iterable[object]) -> str:
    """The nearest known name as ' (did you mean ...?)', or nothing."""
    close = difflib.get_close_matches(word, [str(name) for name in known], n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
