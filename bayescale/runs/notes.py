"""Notes on how a table was read; those that begin so stay with a fit as what to distrust."""

from __future__ import annotations

from collections.abc import Iterable

WARNING = "warning: "
DROPPED = "dropped: "
"""Of rows that were left out; unlike a warning, it is not found again when what is left is read again."""


def kept(notes: Iterable[object]) -> list[str]:
    """The notes that stay true when a table is read again."""
    return [str(note) for note in notes if not str(note).startswith(WARNING)]


def warnings_among(notes: Iterable[object]) -> list[str]:
    """The sentences to distrust the table by."""
    found = [str(note) for note in notes if str(note).startswith((WARNING, DROPPED))]
    return [note.removeprefix(WARNING).removeprefix(DROPPED) for note in found]
