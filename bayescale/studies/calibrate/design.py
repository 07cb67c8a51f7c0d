"""Where simulated runs are placed: inputs spread over the range that a law is used in, and points far beyond it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayescale.errors import UsageError
from bayescale.law import FLOPS_PER_PARAMETER_TOKEN, Centre, Law
from bayescale.posterior.data import centre_of
from bayescale.runs import observations, read_runs

RANGES = {
    "N": (1e6, 1e11),
    "D": (1e8, 1e13),
    "C": (1e17, 1e23),
    "S": (1e2, 1e7),
    "B": (1e4, 1e8),
    "U": (1e8, 1e13),
    "E": (1.0, 512.0),
    "loss": (2.0, 4.5),
}
"""Of inputs, in the units of a run table. Five decades, so that most data sets tell something about each constant."""

SCHEDULES = (
    "0:0 2000:3e-4",
    "0:0 2000:3e-4 cosine 1000000:3e-5",
    "0:0 2000:3e-4 20000:3e-4 20000:3e-5",
    "0:0 2000:3e-4 100000:3e-4 exp 1000000:3e-6",
)
"""Of laws of a learning-rate schedule, along each of which rows are spread over `STEPS`."""

STEPS = (2500.0, 1e6)

METRICS = {
    "loss": 2.7, "transfer_loss": 3.0, "B_crit": 2e6, "S": 1e5, "N_opt": 1e9, "D_opt": 3e10, "D_T": 1e10,
    "error": 0.6,
}  # fmt: skip
"""Of metrics at the centre, where priors are stated; 1 for any other."""

ROWS = 40
FAR = 10.0
"""Predictions are checked so many times beyond the largest input."""


@dataclass(frozen=True, eq=False)
class Design:
    """What the simulated tables share.

    Attributes
    ----------
    inputs : dict of ndarray, shape (row,)
    log_se : ndarray, shape (row,), or None
        Known standard errors of the log metric, of a table that has them.
    centre : Centre
        Where priors are stated: fixed, so that they do not follow the simulated metric.
    far : dict
        The inputs of the prediction that is checked.
    budgets : tuple of float
        FLOPs of the allocations that are checked: within the design, and far beyond it.
    source : str
        In words.
    """

    inputs: dict[str, np.ndarray]
    log_se: np.ndarray | None
    centre: Centre
    far: dict[str, Any]
    budgets: tuple[float, float]
    source: str

    @property
    def rows(self) -> int:
        """How many rows each table has."""
        return len(next(iter(self.inputs.values())))


def design_of(law: Law, runs: Any = None, *, rows: int = ROWS, centre: Mapping[str, float] | None = None) -> Design:
    """The rows of a table of runs, or `rows` of them spread evenly over the `RANGES` of the law's inputs.

    Raises
    ------
    UsageError
        An input has no range; there are fewer rows than constants; a name in `centre` is unknown.
    DataError
        The table cannot determine the law.
    """
    log_se = None
    observed = None
    if runs is None:
        inputs = _spread(law, rows)
        limits = {n: STEPS if "schedule" in inputs else RANGES[n] for n in inputs if n != "schedule"}
        source = f"{rows} rows spread over " + ", ".join(
            f"{n} {low:g} to {high:g}" for n, (low, high) in limits.items()
        )
        source += f" of {len(SCHEDULES)} schedules" if "schedule" in inputs else ""
    else:
        inputs, observed, log_se, source = _of_table(law, runs)
    metric = METRICS.get(law.metric, 1.0)
    at = centre_of(inputs, law.metric, np.array([metric]) if observed is None else observed).values
    for name in centre or {}:
        if name not in at:
            raise UsageError(f"the centre of law {law.name} has {', '.join(at)}, not {name!r}")
    far = {n: _beyond(n, x) for n, x in inputs.items()}
    budgets = (1.0, 1.0)
    if {"N", "D"} <= set(inputs):
        within = FLOPS_PER_PARAMETER_TOKEN * at["N"] * at["D"]
        budgets = (within, FLOPS_PER_PARAMETER_TOKEN * far["N"] * far["D"])
    return Design(
        inputs, log_se, Centre({**at, **{n: float(v) for n, v in (centre or {}).items()}}), far, budgets, source
    )


def _beyond(name: str, values: np.ndarray) -> Any:
    """Where a prediction is checked: a law of the loss is used at losses below those that were seen."""
    if name == "schedule":
        return values[-1]
    return float(values.min()) * 0.8 if name == "loss" else float(values.max()) * FAR


def _spread(law: Law, rows: int) -> dict[str, np.ndarray]:
    if law.inputs == ("S", "schedule"):
        some = -(-rows // len(SCHEDULES))
        steps = np.geomspace(*STEPS, some)
        return {
            "S": np.tile(steps, len(SCHEDULES))[:rows],
            "schedule": np.repeat(SCHEDULES, some)[:rows].astype(object),
        }
    if missing := [n for n in law.inputs if n not in RANGES]:
        raise UsageError(
            f"there is no default design for {', '.join(missing)} of law {law.name}; give a table of runs that has "
            f"{', '.join(law.inputs)}"
        )
    if rows < len(law.free) + 2:
        raise UsageError(f"law {law.name} has {len(law.free)} free constants; {rows} rows are too few")
    # the additive recurrence of the generalised golden ratio fills a box evenly in any number of dimensions
    dimension = len(law.inputs)
    ratio = 2.0
    for _ in range(60):
        ratio = (1 + ratio) ** (1 / (dimension + 1))
    places = (0.5 + np.outer(np.arange(1, rows + 1), ratio ** -np.arange(1.0, dimension + 1))) % 1
    limits = {n: np.log(RANGES[n]) for n in law.inputs}
    return {n: np.exp(limits[n][0] + places[:, i] * np.ptp(limits[n])) for i, n in enumerate(law.inputs)}


def _of_table(law: Law, runs: Any) -> tuple[dict[str, np.ndarray], np.ndarray | None, np.ndarray | None, str]:
    table = read_runs(runs)
    own = law.metric in table.columns
    if not own:  # a plan of runs to make
        table = table.assign(**{law.metric: METRICS.get(law.metric, 1.0)})
    found = observations(table, inputs=law.inputs, metric=law.metric, constants=len(law.free), law=law.name)
    log_se = None if found.se is None or not own else found.se / found.observed
    return found.inputs, found.observed if own else None, log_se, f"{found.rows} rows of {found.source}"
