"""The published constants of Kaplan et al. 2020 (arXiv:2001.08361), and the constants of a fit in the same form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias

import numpy as np

from bayescale.arrays import Values
from bayescale.errors import UsageError
from bayescale.law import PF_DAY, Law
from bayescale.runs import Observations

PAPER = "Kaplan et al. 2020"


class Fitted(Protocol):
    """What is needed of a fit: its law, its rows, and draws of the law's constants."""

    @property
    def law(self) -> Law:
        """As it was fitted."""

    @property
    def runs(self) -> Observations:
        """The rows that were fitted."""

    def thinned(self) -> dict[str, np.ndarray]:
        """Draws of each constant, shape (draw,)."""


@dataclass(frozen=True, eq=False)
class Constants:
    """Constants of the paper's laws by name, each a number or an array of draws: ``TABLE_3.alpha_S``.

    ``first | second`` joins two sets: where both have a constant the second's counts, and draws of two fits
    are paired (fits to different data are independent), as many as the shorter has.

    Attributes
    ----------
    source : str
        Where the values are from.
    values : dict
        Name -> number or array, shape (draw,).
    """

    source: str
    values: Mapping[str, Any]

    @classmethod
    def of(cls, fit: Fitted) -> Constants:
        """The constants of a fitted law at every draw (at most 4000), shape (draw,) each; pinned ones as numbers."""
        pinned = {n: v for n, v in fit.law.items() if isinstance(v, float)}
        drawn = {n: v for n, v in fit.thinned().items() if n in fit.law.law.fields}
        return cls(f"{fit.law.name} fitted to {fit.runs.source}", {**pinned, **drawn})

    def __getattr__(self, name: str) -> Any:
        values = self.__dict__.get("values", {})
        if name.startswith("__") or not values:
            raise AttributeError(name)
        if name not in values:
            raise UsageError(
                f"this needs the constant {name}; {self.source} has {', '.join(values)}. "
                "Join two sets with |, such as kaplan.TABLE_3 | kaplan.TABLE_5['critical_batch']"
            )
        return values[name]

    def __or__(self, other: Constants) -> Constants:
        first, second = self.paired(other)
        used = [self.source] * bool(set(self.values) - set(other.values)) + [other.source]
        return Constants("; ".join(dict.fromkeys(used)), {**first.values, **second.values})

    def paired(self, other: Constants) -> tuple[Constants, Constants]:
        """Both, cut to as many draws as the shorter has."""
        counts = [np.shape(v)[0] for k in (self, other) for v in k.values.values() if np.ndim(v)]
        if not counts:
            return self, other
        first, second = ({n: _spaced(v, min(counts)) for n, v in k.values.items()} for k in (self, other))
        return Constants(self.source, first), Constants(other.source, second)


class Numbered(Protocol):
    """A law whose constants are numbers, or draws, each an attribute by its name."""

    fields: ClassVar[tuple[str, ...]]

    def __getattribute__(self, name: str, /) -> Any:
        """A constant."""


ConstantsLike: TypeAlias = Constants | Numbered
"""What the functions of `bayescale.kaplan` take constants from."""


def _spaced(draws: Any, count: int) -> Any:
    """`count` evenly spaced draws; a number as it is."""
    return draws if not np.ndim(draws) else draws[np.linspace(0, len(draws) - 1, count).round().astype(int)]


class Trend(NamedTuple):
    """A power of the compute: ``scale * (C / PF-day)**exponent``."""

    scale: Any
    exponent: Any

    def at(self, C: Values) -> Any:
        """The trend at C FLOPs."""
        return self.scale * (C / PF_DAY) ** self.exponent


TABLE_2 = Constants(f"{PAPER}, Table 2", {"alpha_N": 0.076, "N_c": 6.4e13, "alpha_D": 0.103, "D_c": 1.8e13})
"""L(N, D), eq. 1.5: parameters and tokens."""

TABLE_3 = Constants(f"{PAPER}, Table 3", {"alpha_N": 0.077, "N_c": 6.5e13, "alpha_S": 0.76, "S_c": 2.1e3})
"""L(N, S_min), eq. 5.6: parameters and steps."""

TABLE_5 = {
    "kaplan_n": Constants(f"{PAPER}, Table 5", {"alpha_N": 0.076, "N_c": 8.8e13}),
    "kaplan_d": Constants(f"{PAPER}, Table 5", {"alpha_D": 0.095, "D_c": 5.4e13}),
    "kaplan_c": Constants(f"{PAPER}, Table 5", {"alpha_C": 0.057, "C_c": 1.6e7 * PF_DAY}),
    "kaplan_cmin": Constants(f"{PAPER}, Table 5", {"alpha_C": 0.050, "C_c": 3.1e8 * PF_DAY}),
    "critical_batch": Constants(f"{PAPER}, Table 5", {"alpha_B": 0.21, "B_star": 2.1e8}),
}
"""Each law of one variable by its name here; compute in FLOPs, B_star in tokens."""

CURVES = TABLE_3 | TABLE_5["critical_batch"]
"""What learning curves at a finite batch, and the frontier of appendix B, need: Table 3 with B_star and alpha_B."""

TABLE_6 = {"N": Trend(1.3e9, 0.73), "B": Trend(2.0e6, 0.24), "S": Trend(5.4e3, 0.03), "D": Trend(2e10, 0.27)}
"""The empirical frontier: parameters, tokens a batch (an upper bound), S_min (a lower bound), tokens in one epoch."""

EQ_6_7 = Trend(4e10, 0.26)
"""Tokens of one epoch at the critical batch, where a run costs twice C_min (eq. 6.7)."""
