"""Simulated tables: constants from the prior, and rows that scatter about the law as the likelihood has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from bayescale.compiled import Program
from bayescale.errors import DataError
from bayescale.law import AnyLaw, Centre, at_rows
from bayescale.likelihood import Likelihood
from bayescale.posterior.data import Data, padded
from bayescale.posterior.density import PRIOR_DRAWS, Target, target_of
from bayescale.studies.calibrate.design import Design

BLOCK = 96
"""Data sets fitted together at most."""
ROUNDS = 30
"""Rounds of prior draws before a law is given up as one that makes no data."""


class Simulated(NamedTuple):
    """A table and the constants that made it, those of a group that it lacks among them."""

    truth: dict[str, np.ndarray]
    observed: np.ndarray
    seed: int


@dataclass(frozen=True, eq=False)
class Setting:
    """What all simulations of a calibration share.

    Attributes
    ----------
    law, likelihood : Law or Varying, Likelihood
        Those that are fitted.
    design : Design
    seed : int
    method : str
        'nuts' or 'laplace'.
    refit : bool
        Whether what the batch cannot do is fitted alone.
    own_centre : bool
        Whether each fit has its priors at its own table's centre, as `fit` has them, and not at the design's.
    truth : Target, optional
        What the data are drawn from, where it is not what is fitted: such a calibration must fail.
    """

    law: AnyLaw
    likelihood: Likelihood
    design: Design
    seed: int
    method: str = "nuts"
    refit: bool = True
    own_centre: bool = False
    truth: Target | None = None

    @property
    def target(self) -> Target:
        """The posterior as a density, with its compiled programs."""
        return target_of(self.law, self.likelihood)

    def blank(self) -> Data:
        """A table before it has a metric, with the priors' centre of the design."""
        return self._data(np.full(self.design.rows, self.design.centre.values[self.law.metric]), self.design.centre)

    def table(self, observed: np.ndarray) -> Data:
        """A simulated metric, shape (row,), as the programs read it."""
        centre = self.design.centre
        if self.own_centre:
            centre = Centre({**centre.values, self.law.metric: float(np.median(observed))})
        return self._data(observed, centre)

    def _data(self, observed: np.ndarray, centre: Centre) -> Data:
        design = self.design
        se = None if design.log_se is None else design.log_se * observed
        return padded(design.inputs, observed, se, centre, self.law.metric, design.follows)


def simulated(setting: Setting, indices: Sequence[int]) -> list[Simulated]:
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
        constants, metric = _drawn(setting, keys.reshape(2, -1, 2))
        usable = (np.isfinite(metric) & (metric > 0)).all(axis=1).reshape(len(todo), tries)
        for row, i in enumerate(todo):
            if usable[row].any():
                pick = row * tries + int(usable[row].argmax())
                found[i] = Simulated({n: x[pick] for n, x in constants.items()}, metric[pick], seeds[i])
    raise DataError(
        f"law {setting.law.name}: none of {ROUNDS * tries} prior draws gives a positive {setting.law.metric} at every "
        "row; narrow the priors, or give a table of runs that the law is for"
    )


def _drawn(setting: Setting, keys: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Prior draws of constants, shape (n, ...), and a table's metric of each, shape (n, row); `keys` is (2, n, 2)."""
    target, design, count = setting.truth or setting.target, setting.design, keys.shape[1]
    # of a group that the table lacks: not the numbers that any posterior's draws get
    beyond = int(keys[0, 0, 0])
    keys = np.concatenate([keys, np.repeat(keys[:, -1:], PRIOR_DRAWS - count, axis=1)], axis=1)
    blank = setting.blank()
    constants = target.constants_at(np.asarray(target.prior(keys[0], blank)), blank, beyond)
    metric = np.asarray(_rows(target)(constants, keys[1], blank, design.longest))[:, : design.rows]
    return {n: x[:count] for n, x in constants.items()}, metric[:count]


def _rows(target: Target) -> Program:
    """The program that draws a table's rows: (constants of n draws, keys, table, longest run) -> (n, row)."""

    def one(constants: Any, key: Any, table: Data, longest: Any) -> Any:
        mean, noise = at_rows(target.law_at(constants), table.inputs), target.likelihood.drawn(constants)

        def further(_: Any, observed: Any) -> Any:
            # with the same innovations each time, one more row of each run has the right one before it
            return target.likelihood.scatter_of_rows(mean, noise, table._replace(observed=observed)).sample(key)

        return jax.lax.fori_loop(0, longest, further, mean)

    name = "calibrate/rows"
    if name not in target.quantities:
        target.quantities[name] = Program(jax.vmap(one, in_axes=(0, 0, None, None)))
    return target.quantities[name]
