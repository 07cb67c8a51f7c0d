"""Features: what an input of a law is as a column, and what it becomes before it is compiled.

Most are quantities; a law may have numbers of its own, which need not be positive; a learning-rate schedule is text
that becomes a path. What differs between them is said here once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayescale.errors import UsageError
from bayescale.runs.names import COLUMNS
from bayescale.runs.schedule import NODES, checked_schedules, paths, peaks

Inputs = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Feature:
    """A kind of input.

    Attributes
    ----------
    numeric : bool
        Whether it lies on an axis.
    wanted : str
        What its values are, for messages.
    shape : tuple of int
        Of a row, as programs read it.
    usable : callable
        Which of some numbers are values of it, an array of bool.
    middle : callable
        Where priors are stated: one number of its values, shape (row,).
    encoded : callable
        Its values, shape (row,), as programs read them, shape (row, ...), given all inputs.
    """

    numeric: bool
    wanted: str
    shape: tuple[int, ...]
    usable: Callable[[np.ndarray], np.ndarray]
    middle: Callable[[np.ndarray], float]
    encoded: Callable[[np.ndarray, Inputs], np.ndarray]

    def read(self, name: str, values: Any) -> np.ndarray:
        """Values as a person gives them, checked.

        Raises
        ------
        UsageError
            One is no value of this kind.
        """
        if not self.numeric:
            return checked_schedules(values)
        try:
            array = np.asarray(values, dtype=float)
        except (TypeError, ValueError):
            raise UsageError(f"{name} must be a {self.wanted} number or an array of them, not {values!r}") from None
        bad = array[~self.usable(array)]
        if bad.size:
            raise UsageError(f"{name} must be {self.wanted}; found {bad.flat[0]}")
        return array


def _middle(values: np.ndarray) -> float:
    """The geometric mean, or the mean where values are not all positive."""
    return float(np.exp(np.mean(np.log(values)))) if (values > 0).all() else float(values.mean())


QUANTITY = Feature(
    True, "positive and finite", (), lambda x: np.isfinite(x) & (x > 0), _middle, lambda x, inputs: np.asarray(x, float)
)
"""A standard column, in its unit."""

NUMBER = Feature(True, "finite", (), np.isfinite, _middle, lambda x, inputs: np.asarray(x, float))
"""A law's own input: zero and negative values are values."""

SCHEDULE = Feature(
    False,
    "a schedule",
    (NODES, 4),
    lambda x: np.ones(x.shape, bool),
    lambda texts: _middle(peaks(texts)),
    lambda texts, inputs: paths(np.asarray(inputs["S"]), np.asarray(texts)),
)
"""A learning-rate schedule as text: its path up to the row's step."""


def feature_of(name: str) -> Feature:
    """The kind of an input."""
    if name == "schedule":
        return SCHEDULE
    return QUANTITY if name in COLUMNS else NUMBER


def numeric(inputs: Iterable[str]) -> bool:
    """Whether all of these lie on axes."""
    return all(feature_of(n).numeric for n in inputs)


def encoded(inputs: Inputs) -> dict[str, np.ndarray]:
    """Inputs as programs read them, shape (row, ...) each."""
    return {n: feature_of(n).encoded(x, inputs) for n, x in inputs.items()}
