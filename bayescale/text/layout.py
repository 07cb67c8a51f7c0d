"""How numbers, tables and sentences are set on a screen: digits that an estimate resolves, columns, indented lists."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bayescale.errors import printable

WIDTH = 80


def figures(value: float, spread: float, extra: int = 2) -> str:
    """`value` with the digits that `spread` resolves: 1.8064 with spread 0.015 is '1.806'."""
    if value is None or not np.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    magnitude = np.floor(np.log10(abs(value)))
    resolved = np.floor(np.log10(spread)) if np.isfinite(spread) and spread > 0 else magnitude - 3
    digits = int(np.clip(magnitude - resolved + extra, 2, 8))
    if -4 <= magnitude < 6:
        decimals = max(digits - 1 - int(magnitude), 0)
        return f"{value:.{decimals}f}"
    return f"{value:.{digits - 1}e}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")


def interval_text(estimate: Mapping[Any, Any]) -> tuple[str, str]:
    """An estimate as two columns of text: the median, and the interval 'low to high'."""
    median, low, high = (float(estimate[k]) for k in ("median", "low", "high"))
    spread = (high - low) / 4
    return figures(median, spread), f"{figures(low, spread)} to {figures(high, spread)}"


def aligned(rows: Sequence[tuple[str, ...]], header: tuple[str, ...], left: int = 1) -> list[str]:
    """Rows of text under a header, in columns: the first `left` of them flush left, the others right."""
    lines = [tuple(printable(c) for c in r) for r in (header, *rows)]
    widths = [max(len(r[i]) for r in lines) for i in range(len(header))]
    cells = [
        [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True))] for r in lines
    ]
    return ["  ".join(c).rstrip() for c in cells]


def wrapped(sentences: Iterable[str]) -> list[str]:
    """Sentences as an indented list."""
    lines: list[str] = []
    for sentence in sentences:
        lines += textwrap.wrap(printable(sentence), WIDTH, initial_indent="  - ", subsequent_indent="    ")
    return lines
