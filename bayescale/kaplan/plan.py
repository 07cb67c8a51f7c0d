"""The plan of Kaplan et al. 2020 for given parameters, tokens, compute and batch: every quantity with its equation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayescale import intervals, kaplan
from bayescale.arrays import Values
from bayescale.errors import UsageError
from bayescale.kaplan import EQ_6_7, TABLE_2, TABLE_3, TABLE_5, TOLERANCE, Constants
from bayescale.kaplan.frontier import given
from bayescale.kaplan.tables import Fitted
from bayescale.law import FLOPS_PER_PARAMETER_TOKEN

PUBLISHED = {"kaplan_nd": TABLE_2, "kaplan_ns": TABLE_3, **TABLE_5}
"""Published constants by the law that they are of."""

NATS = "nats/token"


@dataclass(frozen=True, eq=False)
class Quantity:
    """One line of a plan.

    Attributes
    ----------
    topic : str
        What it belongs to, as a heading.
    name, unit, equation : str
        What it is, its unit or '', and where the paper has it.
    value : float or ndarray, shape (draw,)
        A number at published constants, draws where a fit's constants enter.
    """

    topic: str
    name: str
    value: Any
    unit: str
    equation: str

    def summary(self, interval: float = intervals.INTERVAL) -> dict[str, float]:
        """'value' for a number; median, mean, sd, low, high for draws."""
        if not np.ndim(self.value):
            return {"value": float(self.value)}
        with np.errstate(invalid="ignore", over="ignore"):
            return {n: float(v) for n, v in intervals.summarise(np.asarray(self.value), interval).items()}


def constants_of(fits: Sequence[Fitted]) -> dict[str, Constants]:
    """The published constants, replaced by those of fitted laws where there are any.

    Raises
    ------
    UsageError
        A fit is of another law, or two are of one.
    """
    found: dict[str, Constants] = {}
    for fit in fits:
        name = fit.law.name
        if name not in (*PUBLISHED, "kaplan_nsb"):
            raise UsageError(
                f"a plan takes fits of the paper's laws ({', '.join(PUBLISHED)}, kaplan_nsb), not of {name}; "
                "`bayescale allocate` and `bayescale predict` are for other laws"
            )
        for part in ("kaplan_ns", "critical_batch") if name == "kaplan_nsb" else (name,):
            if part in found:
                raise UsageError(f"two of the fits give the constants of {part}; give one of them")
            found[part] = Constants.of(fit)
    return {**PUBLISHED, **found}


def plan(
    *,
    N: float | None = None,
    D: float | None = None,
    C: float | None = None,
    B: float | None = None,
    constants: Mapping[str, Constants] = PUBLISHED,
) -> list[Quantity]:
    """Everything that the paper says about a training run of which some of N, D, C, B are known.

    Parameters
    ----------
    N, D, C, B : float, optional
        Parameters without embeddings, tokens, FLOPs, tokens a batch. C is C_min for the frontier.
    constants : mapping, optional
        From `constants_of`; the published ones unless given.

    Raises
    ------
    UsageError
        None is given, or only B, or one is not positive.
    """
    known = {n: v for n, v in {"N": N, "D": D, "C": C, "B": B}.items() if v is not None}
    if not set(known) - {"B"}:
        raise UsageError(
            "give at least one of N, D and C"
            + (": the critical batch depends on the loss, which B alone does not fix" if known else "")
        )
    for name, value in known.items():
        if np.ndim(value):
            raise UsageError(f"a plan is for one run; {name} is {np.size(value)} numbers")
        given(**{name: value})
    lines = [*_size(constants, N), *_data(constants, D), *_size_and_data(constants, N, D), *_compute(constants, C)]
    if N is not None and C is not None:
        lines += _chosen_size(constants, N, C)
    reached = {line.name: line.value for line in reversed(lines) if line.unit == NATS}
    loss = reached.get("loss of N and D", reached.get("loss at this size", next(iter(reached.values()))))
    return [*lines, *_batch(constants, N, D, B, loss)]


def _size(k: Mapping[str, Constants], N: float | None) -> Iterator[Quantity]:
    if N is None:
        return
    topic, law = f"{N:.4g} parameters", k["kaplan_n"]
    yield Quantity(topic, "loss, all else plentiful", (law.N_c / N) ** law.alpha_N, NATS, "eq. 1.1")
    needed = kaplan.data_needed(k["kaplan_nd"], N)
    yield Quantity(topic, f"data for {TOLERANCE:.0%} overfitting", needed, "tokens", "eq. 4.4")


def _data(k: Mapping[str, Constants], D: float | None) -> Iterator[Quantity]:
    if D is not None:
        law = k["kaplan_d"]
        yield Quantity(f"{D:.4g} tokens", "loss, all else plentiful", (law.D_c / D) ** law.alpha_D, NATS, "eq. 1.2")


def _size_and_data(k: Mapping[str, Constants], N: float | None, D: float | None) -> Iterator[Quantity]:
    if N is None or D is None:
        return
    topic, law = f"{N:.4g} parameters on {D:.4g} tokens, stopped early", k["kaplan_nd"]
    yield Quantity(topic, "loss of N and D", kaplan.loss_of_data(law, N, D), NATS, "eq. 1.5")
    yield Quantity(topic, "overfitting, fraction of the loss", kaplan.overfitting(law, N, D), "", "eq. 4.3")
    yield Quantity(
        topic, "stop no sooner than", kaplan.stopping_step(*law.paired(k["kaplan_ns"]), N, D), "steps", "eq. 5.7"
    )


def _compute(k: Mapping[str, Constants], C: float | None) -> Iterator[Quantity]:
    if C is None:
        return
    naive, least, curves = k["kaplan_c"], k["kaplan_cmin"], k["kaplan_ns"] | k["critical_batch"]
    topic = f"{C:.4g} FLOPs ({kaplan.pf_days(C):.4g} PF-days)"
    yield Quantity(topic, "loss, batch fixed at 2^19 tokens", (naive.C_c / C) ** naive.alpha_C, NATS, "eq. 3.3")
    yield Quantity(topic, "loss, batch adjusted (C = C_min)", (least.C_c / C) ** least.alpha_C, NATS, "eq. 1.3")
    units = {"N": "parameters", "D": "tokens", "B": "tokens a batch", "S": "steps", "loss": NATS}
    theory = kaplan.frontier(curves, C)
    equations = {"N": "eq. B.9", "D": "C/6N", "B": "eq. 5.3", "S": "eq. B.10", "loss": "eq. B.6"}
    frontier = "Compute-efficient by the learning curves (appendix B)"
    for name, unit in units.items():
        yield Quantity(frontier, f"optimal {name}", theory[name], unit, equations[name])
    fraction = kaplan.converged_fraction(curves)
    yield Quantity(frontier, "stop this far above the converged loss", fraction, "", "eq. B.5")
    measured = kaplan.empirical_frontier(C)
    table = "Compute-efficient as measured (Table 6)"
    for name in ("N", "D", "B", "S"):
        yield Quantity(table, f"optimal {name}", measured[name], units[name], "Table 6")
    yield Quantity(table, "optimal D at the critical batch", measured["D_critical"], "tokens", "eq. 6.7")
    limit = "Where the trends contradict each other (section 6.3)"
    data = k["kaplan_d"]
    both = least | data
    for rule, tokens in (("Table 6", kaplan.TABLE_6["D"]), ("eq. 6.7", EQ_6_7)):
        point = kaplan.contradiction(both, both, tokens=tokens)
        yield Quantity(limit, f"compute, data by {rule}", kaplan.pf_days(point["C"]), "PF-days", "eq. 6.8")
        yield Quantity(limit, f"parameters, data by {rule}", point["N"], "parameters", "eq. 6.8")


def _chosen_size(k: Mapping[str, Constants], N: float, C: float) -> Iterator[Quantity]:
    curves = k["kaplan_ns"] | k["critical_batch"]
    ratio = N / kaplan.frontier(curves, C)["N"]
    topic = f"{N:.4g} parameters at {C:.4g} FLOPs"
    yield Quantity(topic, "size over the optimum's", ratio, "", "eq. B.9")
    yield Quantity(topic, "loss at this size", kaplan.loss_at_compute(curves, N, C), NATS, "eq. B.3")
    cost = kaplan.size_penalty(curves, ratio)
    yield Quantity(topic, "compute to the optimum's loss, over the optimum's", cost["compute"], "", "eq. B.16")
    yield Quantity(topic, "steps to the optimum's loss, over the optimum's", cost["steps"], "", "eq. B.17")


def _batch(
    k: Mapping[str, Constants], N: float | None, D: float | None, B: float | None, loss: Values
) -> Iterator[Quantity]:
    curves = k["kaplan_ns"] | k["critical_batch"]
    if B is not None and N is not None and D is not None:
        S = D / B
        loss = kaplan.loss_of_steps(curves, N, S, B)
        topic = f"One epoch of {D:.4g} tokens in batches of {B:.4g}"
        yield Quantity(topic, "steps", S, "steps", "D/B")
        yield Quantity(topic, "loss", loss, NATS, "eq. 5.6")
        yield Quantity(
            topic, "critical batch at that loss", kaplan.critical_batch(curves, loss), "tokens a batch", "eq. 5.3"
        )
        yield Quantity(topic, "S_min", kaplan.minimum_steps(curves, S, B, loss), "steps", "eq. 5.4")
        yield Quantity(topic, "C_min", kaplan.minimum_compute(curves, N, S, B, loss), "FLOPs", "eq. 5.5")
        yield Quantity(topic, "C", FLOPS_PER_PARAMETER_TOKEN * N * D, "FLOPs", "6NBS")
        return
    law = k["critical_batch"]
    critical = kaplan.critical_batch(law, loss if not np.ndim(loss) else np.median(loss))
    topic = f"Batch at a loss of {np.median(loss):.4g}"
    yield Quantity(topic, "critical batch", critical, "tokens a batch", "eq. 5.3")
    if B is not None:
        yield Quantity(topic, "steps over S_min", 1 + critical / B, "", "eq. 5.4")
        yield Quantity(topic, "compute over C_min", 1 + B / critical, "", "eq. 5.5")
