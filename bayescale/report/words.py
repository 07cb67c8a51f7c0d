"""Numbers as the report writes them: parameters and tokens in billions, FLOPs as powers of ten."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayescale.text.layout import interval_text

LETTERS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K"))
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
SPACE = "\u00a0"
COUNTS = ("N", "D", "U", "S", "B")
UNITS = {
    "N": "parameters",
    "D": "training tokens",
    "C": "FLOPs",
    "S": "optimiser steps",
    "loss": "nats/token",
}
"""Of inputs and metrics, where they are the same in every table."""


def count(value: float, digits: int = 3) -> str:
    """A number of parameters or tokens: ``1.74e9`` is '1.74 B'."""
    if not np.isfinite(value):
        return "infinite"
    if value >= 0.9995e15 or value < 1e-3:
        return power(value, digits)
    for size, letter in LETTERS:
        if value >= (1 - 0.5 * 10.0**-digits) * size:
            return f"{plain(value / size, digits)}{SPACE}{letter}"
    return plain(value, digits)


def power(value: float, digits: int = 3) -> str:
    """A number as a power of ten: ``5.76e23`` is 5.76 times 10²³."""
    if not np.isfinite(value) or value == 0:
        return "infinite" if value else "0"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    text = mantissa.rstrip("0").rstrip(".")
    raised = f"10{str(int(exponent)).translate(RAISED)}"
    return raised if text == "1" else f"{text}{SPACE}\u00d7{SPACE}{raised}"


def bare(name: str, value: float) -> str:
    """A value of an input or a metric, without its unit."""
    return count(value) if name in COUNTS else power(value) if name == "C" else plain(value)


def value_of(name: str, value: float) -> str:
    """A value of an input or a metric, with its unit where it is known."""
    text = bare(name, value)
    if name == "loss":
        return f"a loss of {text}"
    return f"{text} {UNITS[name]}" if name in UNITS else f"{name} = {text}"


def span_of(name: str, low: float, high: float) -> str:
    """A range of an input, with its unit: '1 B to 16 B parameters'."""
    span = bare(name, low) if low == high else f"{bare(name, low)} to {bare(name, high)}"
    return f"{span} {UNITS[name]}" if name in UNITS and name != "loss" else f"{name} {span}"


def median_and_span(name: str, found: Mapping[Any, Any]) -> tuple[str, str]:
    """An estimate as two texts: the median, and the interval 'low to high'."""
    if name not in (*COUNTS, "C", "tokens_per_parameter"):
        return interval_text(found)
    median, low, high = (float(found[k]) for k in ("median", "low", "high"))
    write = count if name in COUNTS else power if name == "C" else plain
    digits = 3 if high < 1.3 * low else 2  # more would be noise
    return write(median, digits), f"{write(low, digits)} to {write(high, digits)}"


def group(names: Mapping[str, str]) -> str:
    """A group by its columns: 'mix = web'."""
    return ", ".join(f"{column} = {name}" for column, name in names.items())


def listed(names: list[str]) -> str:
    """Names as a person lists them: 'a, b and c'."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def decades(value: float) -> str:
    """How far outside the runs: '1.3 decades outside', or 'inside'."""
    return f"{value:.1f} decades outside" if value >= 0.05 else "inside"


def percent(mass: float) -> str:
    """A mass as '90 %'."""
    return f"{100 * mass:g}{SPACE}%"


def plain(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, and no power of ten where it can be read without one."""
    if not np.isfinite(value):
        return "infinite"
    if value == 0:
        return "0"
    value = float(f"{value:.{digits - 1}e}")
    if not 1e-3 <= abs(value) < 1e6:
        return power(value, digits)
    return f"{value:.{max(digits - 1 - int(np.floor(np.log10(abs(value)))), 0)}f}"
