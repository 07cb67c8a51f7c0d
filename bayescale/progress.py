"""Progress of long work: a bar on a terminal, silence elsewhere."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Progress = Callable[[str, int, int], None]


def silent(stage: str, done: int, total: int) -> None:
    """Report nothing."""


@contextmanager
def bar(shown: bool | None = None) -> Iterator[Progress]:
    """A progress bar on standard error, if that is a terminal (or `shown` says so)."""
    if not (sys.stderr.isatty() if shown is None else shown):
        yield silent
        return
    from tqdm import tqdm

    drawn: dict[str, Any] = {}
    lock = threading.Lock()

    def report(stage: str, done: int, total: int) -> None:
        with lock:
            if stage not in drawn:
                for finished in drawn.values():
                    finished.close()
                drawn[stage] = tqdm(total=total, desc=stage, file=sys.stderr, leave=False, unit="", delay=0.3)
            drawn[stage].total = total
            drawn[stage].update(done - drawn[stage].n)

    try:
        yield report
    finally:
        for finished in drawn.values():
            finished.close()
