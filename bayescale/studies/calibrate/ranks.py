"""Where the constants that made simulated tables, and what follows from them, rank among draws of the posteriors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bayescale.answers.optimum import optimum_of_each
from bayescale.answers.predict import evaluate_at
from bayescale.law import AnyLaw
from bayescale.law.labels import of_new_runs, typical
from bayescale.law.varying import scalars
from bayescale.posterior.data import Data
from bayescale.posterior.density import Target
from bayescale.posterior.samples import Effort, Samples
from bayescale.posterior.sampling import sample_many
from bayescale.studies.calibrate.simulate import Setting, Simulated, simulated

DRAWS = 100
"""Posterior draws that a rank is out of."""
STEP = 32
"""What the number of data sets is filled up to a multiple of: programs have one size."""
EFFORT = Effort(draws=250, limit=4000)
"""Sampling goes on until the checks of every fit pass; ranks ask for no more draws than that."""


class Ranked(NamedTuple):
    """One simulation: ranks in (0, 1) by quantity, and how the posterior was drawn."""

    simulation: int
    ranks: dict[str, float]
    method: str
    failures: tuple[str, ...]


def ranked(setting: Setting, indices: Sequence[int], tick: Callable[[int], None] = lambda n: None) -> list[Ranked]:
    """Simulate, fit and rank the data sets of these indices, at most `BLOCK` of them."""
    sets = simulated(setting, indices)
    tables = [setting.table(s.observed) for s in sets]
    seeds = [s.seed for s in sets]
    drawn = sample_many(
        setting.target, tables, seeds, method=setting.method, effort=EFFORT, alone=setting.refit, tick=tick
    )
    return _rank(setting, indices, sets, tables, drawn)


def _rank(
    setting: Setting,
    indices: Sequence[int],
    sets: list[Simulated],
    tables: list[Data],
    drawn: list[Samples],
) -> list[Ranked]:
    """Ranks of every quantity; those of failed posteriors are left out."""
    good = [k for k, d in enumerate(drawn) if not d.failures]
    results = [Ranked(i, {}, d.method, d.failures) for i, d in zip(indices, drawn, strict=True)]
    if not good:
        return results
    size = -(-len(drawn) // STEP) * STEP
    filled = [*good, *[good[0]] * (size - len(good))]
    thinned = {k: _thinned(drawn[k].constants) for k in good}
    at_draws = {n: np.concatenate([thinned[k][n] for k in filled]) for n in drawn[good[0]].constants}
    at_truth = {n: np.stack([sets[k].truth[n] for k in filled]) for n in sets[0].truth}
    chance = np.random.default_rng((sets[0].seed, 6))
    quantities = _quantities(setting, setting.target, at_draws, [tables[k] for k in filled], chance)
    of_truth = _quantities(setting, setting.truth or setting.target, at_truth, [tables[k] for k in filled], chance)
    for row, k in enumerate(good):
        rng = np.random.default_rng((sets[k].seed, 5))
        ranks = {}
        for name, values in quantities.items():
            mine = values.reshape(size, -1)[row]
            ranks[name] = _rank_of(of_truth[name][row], mine, rng)
        results[k] = results[k]._replace(ranks=ranks)
    return results


def _thinned(constants: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`DRAWS` evenly spaced draws, shape (draw, ...), of those of all chains."""
    flat = {n: x.reshape(-1, *x.shape[2:]) for n, x in constants.items()}
    total = len(next(iter(flat.values())))
    kept = (np.arange(DRAWS) * total) // DRAWS + total // DRAWS // 2
    return {n: x[kept] for n, x in flat.items()}


def _rank_of(value: float, draws: np.ndarray, rng: np.random.Generator) -> float:
    """Where a value lies among draws: uniform on (0, 1) if it is one of them, ties and steps broken at random."""
    below, equal = np.sum(draws < value), np.sum(draws == value)
    return float((below + rng.random() * (equal + 1)) / (len(draws) + 1))


def _quantities(
    setting: Setting,
    target: Target,
    constants: dict[str, np.ndarray],
    tables: list[Data],
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """What is ranked, for n draws of each data set, shape (data set * n,) each."""
    law, design = setting.law, setting.design
    count = len(next(iter(constants.values())))
    own = {n for n, v in law.law.items() if not isinstance(v, str)}
    own |= {f.name for f in law.latent} | constants.keys() - {*law.law.fields, *law.vectors}
    found = scalars(law, {n: x for n, x in constants.items() if n in own})
    points = _points(law, design.far)
    mean = median = evaluate_at(target, constants, law.metric, points)
    if (about := of_new_runs(law, points)) is not None:
        median = evaluate_at(target, constants, law.metric, about)
    new_run = np.asarray(target.new_run(constants, median, rng.integers(0, 2**32, (count, 2), dtype=np.uint32)))
    known = ", ".join(labels[0] for labels in law.columns.values())
    for i, of in enumerate(("", f"[{known}]")[: mean.shape[1]]):
        found |= {f"mean_curve{of}": mean[:, i], f"new_run{of}": new_run[:, i]}
    if law.inputs == ("N", "D") and law.metric == "loss":
        within, beyond = (optimum_of_each(target, constants, np.full(count, C)) for C in design.budgets)
        found["N_opt"] = beyond[0]
        found["tokens_per_parameter"] = within[1] / within[0]
    each = count // len(tables)
    parts = []
    for k, table in enumerate(tables):
        mine = {n: x[k * each : (k + 1) * each] for n, x in constants.items()}
        parts.append(np.asarray(target.log_likelihood(mine, table))[:, : design.rows].sum(axis=1))
    found["log_likelihood"] = np.concatenate(parts)
    return found


def _points(law: AnyLaw, far: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The far point, of a law with groups for one that the table lacks and for the first of each column."""
    if not law.columns:
        return {n: np.array([x]) for n, x in far.items()}
    codes = {column: np.array([typical(labels), 1.0]) for column, labels in law.columns.items()}
    return {n: np.array([x, x]) for n, x in far.items()} | codes
