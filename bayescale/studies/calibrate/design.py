"""What simulated tables share: rows, the groups and runs of these, where priors are stated, and points far out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayescale.errors import UsageError
from bayescale.law import FLOPS_PER_PARAMETER_TOKEN, AnyLaw, Centre, Law, Varying
from bayescale.law.fields import Field
from bayescale.law.labels import by_groups
from bayescale.posterior.data import centre_of
from bayescale.runs import observations, read_runs
from bayescale.runs.curves import row_before
from bayescale.studies.calibrate.plan import ROWS, plan

METRICS = {
    "loss": 2.7, "transfer_loss": 3.0, "B_crit": 2e6, "S": 1e5, "N_opt": 1e9, "D_opt": 3e10, "D_T": 1e10,
    "error": 0.6,
}  # fmt: skip
"""Of metrics at the centre, where priors are stated; 1 for any other."""

FAR = 10.0
"""Predictions are checked so many times beyond the largest input."""


@dataclass(frozen=True, eq=False)
class Design:
    """What the simulated tables share.

    Attributes
    ----------
    inputs : dict of ndarray, shape (row,)
        With a code for each column of groups.
    log_se : ndarray, shape (row,), or None
        Known standard errors of the log metric, of a table that has them.
    centre : Centre
        Where the priors are stated from which constants are drawn.
    far : dict
        The inputs of the prediction that is checked.
    budgets : tuple of float
        FLOPs of the allocations that are checked: within the design, and far beyond it.
    source : str
        In words.
    latent : tuple of Field
        What varies by the groups of the rows.
    follows : tuple of ndarray, or None
        Of rows whose residuals follow one another along runs: the row before each, and how far it is.
    """

    inputs: dict[str, np.ndarray]
    log_se: np.ndarray | None
    centre: Centre
    far: dict[str, Any]
    budgets: tuple[float, float]
    source: str
    latent: tuple[Field, ...] = ()
    follows: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def rows(self) -> int:
        """How many rows each table has."""
        return len(next(iter(self.inputs.values())))

    @property
    def longest(self) -> int:
        """How many rows the longest run has whose residuals follow one another; 1 where none do."""
        rows, at = 1, np.arange(self.rows)
        while self.follows is not None and ((before := self.follows[0][at]) != at).any():
            rows, at = rows + 1, before
        return rows

    def law(self, base: Law) -> AnyLaw:
        """A law with what varies by the groups of the rows."""
        return Varying(base, self.latent) if self.latent else base


def design_of(
    law: Law,
    runs: Any = None,
    *,
    rows: int = ROWS,
    centre: Mapping[str, float] | None = None,
    pool: Mapping[str, Any] | None = None,
    along_runs: bool = False,
) -> Design:
    """The rows of a table of runs, or of a `plan` of `rows` of them.

    Parameters
    ----------
    law : Law
    runs : DataFrame, str or Path, optional
    rows : int
    centre : mapping, optional
        Input and metric -> value, instead of the centre of the rows.
    pool : mapping, optional
        As `fit` takes it.
    along_runs : bool
        Whether residuals follow one another along runs.

    Raises
    ------
    UsageError
        An input has no range; there are fewer rows than constants; a name in `centre` or `pool` is unknown.
    DataError
        The table cannot determine the law, or has no such groups or runs.
    """
    table = plan(law, rows, pool, along_runs=along_runs) if runs is None else read_runs(runs)
    own = law.metric in table.columns
    if not own:  # a plan of runs to make
        table = table.assign(**{law.metric: METRICS.get(law.metric, 1.0)})
    found = observations(
        table,
        inputs=law.inputs,
        metric=law.metric,
        constants=len(law.free),
        law=law.name,
        may_rise=law.may_rise,
    )
    at = centre_of(found.inputs, law.metric, found.observed).values
    for name in centre or {}:
        if name not in at:
            raise UsageError(f"the centre of law {law.name} has {', '.join(at)}, not {name!r}")
    far = {n: _beyond(n, x) for n, x in found.inputs.items()}
    budgets = (1.0, 1.0)
    if {"N", "D"} <= set(law.inputs):
        within = FLOPS_PER_PARAMETER_TOKEN * at["N"] * at["D"]
        budgets = (within, FLOPS_PER_PARAMETER_TOKEN * far["N"] * far["D"])
    pooled, coded = (law, found) if pool is None else by_groups(law, found, table, pool)
    return Design(
        inputs=coded.inputs,
        log_se=None if found.se is None or not own else found.se / found.observed,
        centre=Centre({**at, **{n: float(v) for n, v in (centre or {}).items()}}),
        far=far,
        budgets=budgets,
        source=found.source if runs is None else f"{found.rows} rows of {found.source}",
        latent=pooled.latent,
        follows=row_before(found) if along_runs else None,
    )


def _beyond(name: str, values: np.ndarray) -> Any:
    """Where a prediction is checked: a law of the loss is used at losses below those that were seen."""
    if name == "schedule":
        return values[-1]
    return float(values.min()) * 0.8 if name == "loss" else float(values.max()) * FAR
