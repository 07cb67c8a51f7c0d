"""Simulated tables, and where the constants that made them rank among draws of their posteriors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bayescale.answers.optimum import optimum_of_each
from bayescale.answers.predict import evaluate_at
from bayescale.errors import DataError
from bayescale.law import Law
from bayescale.likelihood import Likelihood
from bayescale.posterior.data import Data, padded
from bayescale.posterior.density import PRIOR_DRAWS, Target, target_of
from bayescale.posterior.samples import Effort, Samples
from bayescale.posterior.sampling import sample_many
from bayescale.studies.calibrate.design import Design

DRAWS = 100
"""Posterior draws that a rank is out of."""
BLOCK, STEP = 96, 32
"""Data sets fitted together at most, and what their number is filled up to a multiple of: programs have one size."""
EFFORT = Effort(draws=250, limit=4000)
"""Sampling goes on until the checks of every fit pass; ranks ask for no more draws than that."""
ROUNDS = 30
"""Rounds of prior draws before a law is given up as one that makes no data."""


class Simulated(NamedTuple):
    """A table and the constants that made it, in coordinates z."""

    truth: np.ndarray
    observed: np.ndarray
    seed: int


class Ranked(NamedTuple):
    """One simulation: ranks in (0, 1) by quantity, and how the posterior was drawn."""

    simulation: int
    ranks: dict[str, float]
    method: str
    failures: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Setting:
    """What all simulations of a calibration share.

    Attributes
    ----------
    law, likelihood : Law, Likelihood
        Those that are fitted.
    design : Design
    seed : int
    method : str
        'nuts' or 'laplace'.
    refit : bool
        Whether what the batch cannot do is fitted alone.
    truth : Target, optional
        What the data are drawn from, where it is not what is fitted: such a calibration must fail.
    """

    law: Law
    likelihood: Likelihood
    design: Design
    seed: int
    method: str = "nuts"
    refit: bool = True
    truth: Target | None = None

    @property
    def target(self) -> Target:
        """The posterior as a density, with its compiled programs."""
        return target_of(self.law, self.likelihood)

    def table(self, observed: np.ndarray) -> Data:
        """A simulated metric, shape (row,), as the programs read it."""
        design = self.design
        se = None if design.log_se is None else design.log_se * observed
        return padded(design.inputs, observed, se, design.centre, self.law.metric)


def ranked(setting: Setting, indices: Sequence[int], tick: Callable[[int], None] = lambda n: None) -> list[Ranked]:
    """Simulate, fit and rank the data sets of these indices, at most `BLOCK` of them."""
    target = setting.target
    simulated = _simulate(setting, indices)
    tables = [setting.table(s.observed) for s in simulated]
    seeds = [s.seed for s in simulated]
    drawn = sample_many(target, tables, seeds, method=setting.method, effort=EFFORT, alone=setting.refit, tick=tick)
    return _rank(setting, indices, simulated, tables, drawn)


def _simulate(setting: Setting, indices: Sequence[int]) -> list[Simulated]:
    """The data sets of some indices; each is the same whatever others are asked for.

    One whose metric is not finite and positive is drawn again. That is a condition on the data (and on constants
    that the model excludes), which leaves posteriors, and with them ranks, as they are.
    """
    found: dict[int, Simulated] = {}
    streams = {i: np.random.default_rng((setting.seed, i)) for i in indices}
    seeds = {i: int(rng.integers(2**62)) for i, rng in streams.items()}
    tries = PRIOR_DRAWS // BLOCK
    for _ in range(ROUNDS):
        todo = [i for i in indices if i not in found]
        if not todo:
            return [found[i] for i in indices]
        keys = np.stack([streams[i].integers(0, 2**32, (2, tries, 2), dtype=np.uint32) for i in todo], axis=1)
        z, metric = _drawn(setting, keys.reshape(2, -1, 2))
        usable = (np.isfinite(metric) & (metric > 0)).all(axis=1).reshape(len(todo), tries)
        for row, i in enumerate(todo):
            if usable[row].any():
                pick = row * tries + int(usable[row].argmax())
                found[i] = Simulated(z[pick], metric[pick], seeds[i])
    raise DataError(
        f"law {setting.law.name}: none of {ROUNDS * tries} prior draws gives a positive {setting.law.metric} at every "
        "row; narrow the priors, or give a table of runs that the law is for"
    )


def _drawn(setting: Setting, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Prior draws z, shape (n, d), and a table's metric of each, shape (n, row); `keys` has shape (2, n, 2)."""
    target, design, count = setting.truth or setting.target, setting.design, keys.shape[1]
    keys = np.concatenate([keys, np.repeat(keys[:, -1:], PRIOR_DRAWS - count, axis=1)], axis=1)
    blank = setting.table(np.full(design.rows, design.centre.values[setting.law.metric]))
    z = np.asarray(target.prior(keys[0], blank))
    constants = target.constants_at(z, blank)
    mean = np.asarray(target.curve(constants, blank.inputs))[:, : design.rows]
    # a run's scatter about one, of which known errors widen the scale
    about_one = np.asarray(target.new_run(constants, np.ones((PRIOR_DRAWS, design.rows)), keys[1]))
    sigma = np.broadcast_to(target.likelihood.drawn(constants)["sigma"], PRIOR_DRAWS)[:, None]
    wider = 1.0 if design.log_se is None else np.sqrt(1 + (design.log_se / sigma) ** 2)
    return z[:count], (mean * about_one**wider)[:count]


def _rank(
    setting: Setting,
    indices: Sequence[int],
    simulated: list[Simulated],
    tables: list[Data],
    drawn: list[Samples],
) -> list[Ranked]:
    """Ranks of every quantity; those of failed posteriors are left out."""
    target = setting.target
    truth = setting.truth or target
    good = [k for k, d in enumerate(drawn) if not d.failures]
    results = [Ranked(i, {}, d.method, d.failures) for i, d in zip(indices, drawn, strict=True)]
    if not good:
        return results
    size = -(-len(drawn) // STEP) * STEP
    filled = [*good, *[good[0]] * (size - len(good))]
    z = np.stack([_thinned(drawn[k].z) for k in filled])
    true = np.stack([simulated[k].truth for k in filled])
    at_draws = target.constants_at(z.reshape(-1, z.shape[-1]), tables[0])
    at_truth = truth.constants_at(true, tables[0])
    chance = np.random.default_rng((simulated[0].seed, 6))
    quantities = _quantities(setting, target, at_draws, [tables[k] for k in filled], chance)
    of_truth = _quantities(setting, truth, at_truth, [tables[k] for k in filled], chance)
    for row, k in enumerate(good):
        rng = np.random.default_rng((simulated[k].seed, 5))
        ranks = {}
        for name, values in quantities.items():
            mine = values.reshape(size, -1)[row]
            ranks[name] = _rank_of(of_truth[name][row], mine, rng)
        results[k] = results[k]._replace(ranks=ranks)
    return results


def _thinned(z: np.ndarray) -> np.ndarray:
    """`DRAWS` evenly spaced draws, shape (draw, d), of those of all chains."""
    flat = z.reshape(-1, z.shape[-1])
    return flat[(np.arange(DRAWS) * len(flat)) // DRAWS + len(flat) // DRAWS // 2]


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
    found = {n: x for n, x in constants.items() if not isinstance(getattr(law, n, None), str)}
    count = len(next(iter(constants.values())))
    mean = evaluate_at(target, constants, law.metric, {n: np.array([x]) for n, x in design.far.items()})
    found["mean_curve"] = mean[:, 0]
    keys = rng.integers(0, 2**32, (count, 2), dtype=np.uint32)
    found["new_run"] = np.asarray(target.new_run(constants, mean, keys))[:, 0]
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
