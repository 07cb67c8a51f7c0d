"""What a run costs: C = 6ND, or a table's own count of FLOPs, k N^a D^b."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from bayescale.errors import UsageError, in_words
from bayescale.runs.numbers import Array

FLOPS_PER_PARAMETER_TOKEN = 6.0
"""C = 6 N D: two FLOPs forward and four backward (Kaplan et al. 2020, section 2.1)."""

ROUNDING = 0.01
"""Share of C within which a table's count is 6ND, as tables round."""
RESOLVED = 0.005
"""Share of C to which a count is worth knowing: smaller scatter earns no further exponent."""
SCATTER = 0.25
"""Standard deviation of log C about a count beyond which C is no function of N and D."""

DERIVED_C, DERIVED_D = "C derived as 6*N*D", "D derived as C/(6*N)"
"""Notes of `read_runs`."""


@dataclass(frozen=True)
class Cost:
    """What training N parameters on D tokens costs, in FLOPs: ``C = k N^a D^b``.

    Attributes
    ----------
    k, a, b : float
        6, 1 and 1 unless the table or the user counts otherwise.
    by : {'assumption', 'table', 'user'}
        Who says so.
    scatter : float
        Standard deviation of the table's log C about it; 0 where there is none.
    """

    k: float = FLOPS_PER_PARAMETER_TOKEN
    a: float = 1.0
    b: float = 1.0
    by: str = "assumption"
    scatter: float = 0.0

    @property
    def linear(self) -> bool:
        """Whether it is proportional to ND."""
        return self.a == self.b == 1

    @property
    def usual(self) -> bool:
        """Whether it is 6ND."""
        return self.linear and self.k == FLOPS_PER_PARAMETER_TOKEN

    def flops(self, N: Any, D: Any) -> Any:
        """The FLOPs of training N parameters on D tokens."""
        return self.k * N * D if self.linear else self.k * N**self.a * D**self.b

    def tokens(self, C: Any, N: Any, serving: Any = 0.0) -> Any:
        """The tokens that C FLOPs train N parameters on, less `serving` FLOPs a parameter; below 0 or NaN for none."""
        if self.linear:
            return (C / N - serving) / self.k
        return ((C - serving * N) / (self.k * N**self.a)) ** (1 / self.b)

    def parameters(self, C: Any, D: Any) -> Any:
        """The parameters that C FLOPs train on D tokens."""
        return C / (self.k * D) if self.linear else (C / (self.k * D**self.b)) ** (1 / self.a)

    def most_parameters(self, C: Any, serving: Any = 0.0) -> Any:
        """The largest model that C FLOPs train on one token and serve, or an upper bound of it."""
        return C / (self.k + serving) if self.linear else (C / self.k) ** (1 / self.a)

    @property
    def text(self) -> str:
        """The formula, ``9 N D``, or ``6ND``."""
        if self.usual:
            return "6ND"
        powers = " ".join(n if p == 1 else f"{n}^{p:.4g}" for n, p in (("N", self.a), ("D", self.b)))
        return f"{self.k:.4g} {powers}"

    @property
    def sentence(self) -> str:
        """What budgets are counted in, or '' of 6ND."""
        if self.usual:
            return ""
        whose = {"table": "the table's own count of FLOPs", "user": "the count of FLOPs that was given"}[self.by]
        off = f", to {self.scatter:.0%}" if self.scatter > ROUNDING else ""
        return f"C = {self.text}: budgets are in {whose}{off}"

    @property
    def entry(self) -> dict[str, object]:
        """As JSON holds it."""
        return {"C": self.text, "k": self.k, "a": self.a, "b": self.b, "by": self.by}


CostLike: TypeAlias = str | Cost | None
"""A count: itself, its text '9*N*D', '6ND', or 'table' (or None) for what the table says."""


def cost_from(given: CostLike) -> Cost | None:
    """A count as a user gives it; None for that of the table.

    Raises
    ------
    UsageError
        The text is no product of a number and powers of N and D.
    """
    if given is None or isinstance(given, Cost) or given == "table":
        return given if isinstance(given, Cost) else None
    number, power = r"[0-9.]+(?:e[+-]?[0-9]+)?", r"(?:(?:\^|\*\*)([0-9.]+))?"
    text = re.sub(r"\s", "", str(given)).replace("·", "*").removeprefix("C=")
    found = re.fullmatch(rf"({number})\*?N{power}\*?D{power}", text)
    try:
        k, a, b = (float(x or 1) for x in found.groups()) if found else (0.0, 0.0, 0.0)
    except ValueError:
        k = a = b = 0.0
    if min(k, a, b) <= 0:
        raise UsageError(
            f"{in_words('cost', '--cost')} {given!r}: what a run costs is a number times powers of N and D, as in "
            "'6*N*D' or '7.2*N^0.98*D', or 'table' for the table's own count"
        )
    return Cost(k, a, b, "user")


def table_cost(runs: pd.DataFrame) -> tuple[Cost, str]:
    """What runs cost by a table's own C, and why it tells nothing, or ''.

    The simplest of 6ND, k ND, k N^a D and k N^a D^b by the Bayesian information criterion, of log C with normal
    scatter; what is smaller than tables round earns no exponent.
    """
    notes: Iterable[object] = runs.attrs.get("notes", ())
    if not {"N", "D", "C"} <= set(runs.columns) or {DERIVED_C, DERIVED_D} & set(notes):
        return Cost(), ""
    N, D, C = (np.log(runs[n].to_numpy(float)) for n in ("N", "D", "C"))
    off = C - N - D
    if np.abs(off - np.log(FLOPS_PER_PARAMETER_TOKEN)).max() <= ROUNDING:
        return Cost(by="table"), ""
    k, a, b, scatter = _simplest(N, D, off)
    if scatter > SCATTER:
        why = f"C is no function of N and D to {scatter:.0%}: budgets are counted as 6ND, not as the table counts them"
        return Cost(), why
    return Cost(k, a, b, "table", scatter), ""


def _simplest(N: Array, D: Array, off: Array) -> tuple[float, float, float, float]:
    """k, a, b and the scatter of the count that log C - log N - log D calls for."""
    rows = len(off)
    usual = np.log(FLOPS_PER_PARAMETER_TOKEN)
    ones, n, d = np.ones(rows), N - N.mean(), D - D.mean()
    found = [(_criterion(off - usual, 0), (usual, 0.0, 0.0), off - usual)]
    for columns in ([ones], [ones, n], [ones, n, d]):
        design = np.stack(columns, axis=1)
        if rows <= len(columns) or np.linalg.matrix_rank(design, tol=1e-3 * np.sqrt(rows)) < len(columns):
            break  # N and D move together, or do not move
        least, *_ = np.linalg.lstsq(design, off, rcond=None)
        p, q = (float(x) for x in np.pad(least[1:], (0, 3 - len(least))))
        rest = off - design @ least
        found.append((_criterion(rest, len(columns)), (float(least[0]) - p * N.mean() - q * D.mean(), p, q), rest))
    _, (log_k, p, q), rest = min(found, key=lambda f: f[0])
    k = FLOPS_PER_PARAMETER_TOKEN if log_k == usual else float(np.exp(log_k))
    return k, 1 + p, 1 + q, float(np.sqrt(np.mean(rest**2)))


def _criterion(rest: Array, constants: int) -> float:
    return float(len(rest) * np.log(np.mean(rest**2) + RESOLVED**2) + constants * np.log(len(rest)))


def recounted(runs: pd.DataFrame, cost: Cost | None) -> pd.DataFrame:
    """A table whose D was derived from C, with D by another count than 6ND."""
    notes = list(runs.attrs.get("notes", ()))
    if cost is None or cost.usual or DERIVED_D not in notes:
        return runs
    result = runs.assign(D=cost.tokens(runs["C"].to_numpy(), runs["N"].to_numpy()))
    result.attrs = {**runs.attrs, "notes": [n if n != DERIVED_D else f"D derived by C = {cost.text}" for n in notes]}
    return result
