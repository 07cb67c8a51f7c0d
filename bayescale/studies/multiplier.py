"""Compute multipliers: how many times the compute one recipe needs for the loss that another reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayescale import intervals
from bayescale.answers.needed import least_input, needed_input, single_input
from bayescale.answers.optimum import LOG_C_RANGE, Term, least_compute, optimum_draws
from bayescale.answers.predict import evaluate_draws, far_beyond
from bayescale.arrays import Numbers
from bayescale.errors import UsageError, in_words
from bayescale.fit import Fit
from bayescale.law.labels import coded
from bayescale.runs.inputs import checked_inputs
from bayescale.studies.recipes import Recipe, basis, different_ranges, recipes_of_one, recipes_of_two

WAYS = ("optimum", "equal_N")
UNITS = {"C": "flops", "N": "parameters", "D": "tokens"}
"""What a multiplier multiplies, by the scale's name; of other inputs the name says it."""


def multiplier(
    fit: Fit,
    *,
    by: str | None = None,
    of: str | Sequence[str] | None = None,
    over: str | Fit | None = None,
    C: Numbers | None = None,
    at: str = "optimum",
    tokens_per_parameter: float | None = None,
    interval: float = intervals.INTERVAL,
    **terms: Term,
) -> pd.DataFrame:
    """How many times the compute a recipe needs for the loss that another reaches at C.

    1.58: what the recipe `of` does with C takes the recipe `over` 1.58 C. By a law of one input it is that input, not
    compute, that is multiplied: ``multiplier(fit, of="new", over="old", D=1e11)``.

    Parameters
    ----------
    fit : Fit
        Pooled by recipe, or of the new recipe alone, with the old one's as `over`. Of one fit each draw has both
        recipes, so that what they share cancels; draws of two fits are paired at random.
    by : str, optional
        The column that tells recipes apart; the one that constants of the fit vary by, where there is one only.
    of : str or sequence of str, optional
        The better recipe, supposedly, or several; by default all but `over`.
    over : str or Fit
        The recipe that they are held against; of a fit with two it may be left out where `of` is named.
    C : array_like
        Compute that `of` has, FLOPs by the table's count of what a run costs (`Fit.runs.cost`).
    at : {'optimum', 'equal_N'}
        Each recipe trains models of its own optimal size; or both train one of the size that is optimal for `of` at C.
    tokens_per_parameter : float, optional
        Both recipes train on so many tokens a parameter instead, whatever their optimum.
    interval : float
        Mass of the equal-tailed intervals.
    **terms
        As for `bayescale.answers.allocate.allocate`: what the law's other inputs and other groups are (``U=1e11``), and
        for each recipe at its optimum what a budget also has to pay for.

    Returns
    -------
    DataFrame
        One row a C and recipe. Columns: C (or the law's input), of, over, median, mean, sd, low, high;
        probability_better, that of a multiplier above 1; with several recipes probability_best, that its loss at C is
        the least of all (what is left to 1 is that of `over`), by which they are ranked; never, the share of draws in
        which `over` does not reach the loss with any compute, so that the multiplier is infinite there (the median may
        then be, and there is no mean or sd); decades_C, how many powers of ten C lies outside the range of the rows of
        either recipe; unit. Its ``attrs["basis"]`` says what the recipes share, ``attrs["warnings"]`` what to distrust.

    Raises
    ------
    UsageError
        The fit is not pooled by recipe, a recipe is not there, the law has no compute or single input to multiply, two
        fits count FLOPs differently, or an option is wrong.
    DataError
        The law has no optimum at C in any draw.
    """
    intervals.checked_interval(interval)
    for one in (fit,) if over is None or np.isscalar(over) else (fit, over):
        if not isinstance(one, Fit):
            raise UsageError(f"a multiplier is of fits of one law, not of a {type(one).__name__}: give one of its fits")
        one._warn()
    way = _way(fit, at, tokens_per_parameter)
    held = dict(terms)
    values = way.values(fit, C, held)
    if isinstance(over, Fit):
        new, base = recipes_of_two(fit, over, by, of, held)
        asked, every = [new], [new, base]
    else:
        asked, base, every = recipes_of_one(fit, by, of, over, held)
    if (way.equal_N or way.ratio is not None) and not all(r.deployment.free for r in (*asked, base)):
        raise UsageError("tokens to serve and limits are of recipes at their optimum, not at equal N or D/N")
    table = pd.DataFrame(_rows(asked, base, every, way, values, interval))
    if len(asked) > 1:
        table = table.sort_values([way.name, "probability_best", "median"], ascending=[True, False, False])
    else:
        table = table.drop(columns="probability_best")
    told = _cautions(asked, base, way, table)
    table = table.drop(columns="undefined").reset_index(drop=True)
    table.attrs = {"basis": basis(asked[0], base), "warnings": tuple(told)}
    return table


@dataclass(frozen=True)
class Way:
    """Along what recipes are held against each other, and what is equal there.

    Attributes
    ----------
    name : str
        What is multiplied: C, or the single input of the law.
    equal_N : bool
        Whether both train the model that is optimal for the new recipe.
    ratio : float or None
        Tokens a parameter that both train on.
    """

    name: str
    equal_N: bool = False
    ratio: float | None = None

    def values(self, fit: Fit, C: Numbers | None, held: dict[str, Term]) -> np.ndarray:
        """Where on its scale the multiplier is asked for, shape (point,), taken out of what is held."""
        if self.name != "C" and C is not None:
            raise UsageError(f"law {fit.law.name} takes {self.name} alone: give {self.name}, not C")
        given: Any = C if self.name == "C" else held.pop(self.name, None)
        if given is None:
            needs = in_words(f"{self.name}=1e22", f"--{self.name} 1e22")
            raise UsageError(f"say how much {self.name} the new recipe has: {needs}")
        return checked_inputs("multiplier", (self.name,), {self.name: given}, positive=True)[self.name].ravel()

    def reached(self, recipe: Recipe, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The loss that a recipe reaches at every draw, and with how many parameters, shape (draw, point) each.

        NaN at draws that have no optimum; parameters mean nothing by a law of one input.
        """
        fit, metric = recipe.fit, recipe.fit.law.metric
        if self.name != "C" or single_input(fit.law):
            loss = evaluate_draws(fit, metric, {self.name: values, **_codes(recipe, len(values))})
            return loss, loss
        if self.ratio is None:
            best = optimum_draws(fit, values, recipe.deployment)
            return best["loss"], best["N"]
        cost, fixed = recipe.deployment.training, _fixed(recipe, len(values))
        N = (values / (cost.k * self.ratio**cost.b)) ** (1 / (cost.a + cost.b))
        loss = evaluate_draws(fit, metric, {"N": N, "D": self.ratio * N, **fixed})
        return loss, np.broadcast_to(N, loss.shape)

    def needed(self, recipe: Recipe, loss: np.ndarray, N: np.ndarray) -> np.ndarray:
        """What a recipe needs for a loss, shape (draw, point); infinite at draws where nothing is enough."""
        fit = recipe.fit
        if single_input(fit.law):
            return needed_input(fit, loss, recipe.terms)
        deployment = recipe.deployment
        if self.ratio is not None:
            N = least_input(fit, "N", loss, deployment.fixed, {"D": self.ratio})
            return np.asarray(deployment.training.flops(N, self.ratio * N))
        if self.equal_N:
            D = least_input(fit, "D", loss, {**deployment.fixed, "N": N})
            return np.asarray(deployment.training.flops(N, D))
        return least_compute(fit, loss, deployment)


def _way(fit: Fit, at: str, ratio: float | None) -> Way:
    if at not in WAYS:
        raise UsageError(f"at is {' or '.join(map(repr, WAYS))}, not {at!r}; for equal D/N give tokens_per_parameter")
    name, equal_N = single_input(fit.law), at == "equal_N"
    if ratio is not None:
        if np.ndim(ratio):
            raise UsageError(f"give one number of tokens_per_parameter, not {np.size(ratio)}")
        ratio = float(checked_inputs("multiplier", ("D/N",), {"D/N": ratio}, positive=True)["D/N"].item())
    if name and (equal_N or ratio is not None):
        raise UsageError(f"law {fit.law.name} takes {name} alone: it has no model size to hold equal")
    if equal_N and ratio is not None:
        raise UsageError("hold either the model size equal (at='equal_N') or the tokens a parameter, not both")
    return Way(name or "C", equal_N, ratio)


def _codes(recipe: Recipe, count: int) -> dict[str, np.ndarray]:
    _, codes = coded(recipe.fit.law, recipe.terms)
    return {n: np.full(count, float(x.item())) for n, x in codes.items()}


def _fixed(recipe: Recipe, count: int) -> dict[str, np.ndarray]:
    return {n: np.full(count, x) for n, x in recipe.deployment.fixed.items()}


def multiplier_draws(of: Recipe, over: Recipe, way: Way, values: np.ndarray) -> np.ndarray:
    """The multiplier at every draw of `over`, shape (draw, point): infinite where it never gets there.

    NaN where `of` has no optimum. Draws of two fits are paired at random.
    """
    loss, N = way.reached(of, values)
    if of.fit is not over.fit:
        draws = len(next(iter(over.fit.thinned().values())))
        rng = np.random.default_rng((of.fit.seed, over.fit.seed, 5))
        pairs = rng.permutation(np.arange(draws) * len(loss) // draws)
        loss, N = loss[pairs], N[pairs]
    return np.where(np.isnan(loss), np.nan, way.needed(over, loss, N) / values)


def _rows(
    asked: Sequence[Recipe], over: Recipe, every: Sequence[Recipe], way: Way, values: np.ndarray, interval: float
) -> list[dict[str, Any]]:
    best = _best(every, way, values) if len(asked) > 1 else {}
    found = []
    for of in asked:
        draws = multiplier_draws(of, over, way, values)
        for i, value in enumerate(values):
            known = draws[~np.isnan(draws[:, i]), i]
            never = float(np.isinf(known).mean())
            numbers = intervals.summarise(known, interval, moments=never == 0)
            found.append(
                {way.name: float(value), "of": of.name, "over": over.name}
                | {n: float(x) for n, x in numbers.items()}
                | {
                    "probability_better": float((known > 1).mean()),
                    "probability_best": float(best[of.name][i]) if best else np.nan,
                    "never": never,
                    "undefined": 1 - len(known) / len(draws),
                    f"decades_{way.name}": max(_outside(r.seen(way.name), value) for r in (of, over)),
                    "unit": UNITS.get(way.name, way.name),
                }
            )
    return found


def _best(every: Sequence[Recipe], way: Way, values: np.ndarray) -> dict[str, np.ndarray]:
    """The share of draws in which each recipe's loss is the least of all, shape (point,)."""
    losses = np.stack([way.reached(r, values)[0] for r in every])
    first = np.argmin(np.where(np.isnan(losses), np.inf, losses), axis=0)
    return {r.name: (first == i).mean(axis=0) for i, r in enumerate(every)}


def _outside(seen: np.ndarray, value: float) -> float:
    """Powers of ten that a value lies outside the range of what was seen."""
    return float(max(0.0, np.log10(value / seen.max()), np.log10(seen.min() / value)))


def _cautions(asked: Sequence[Recipe], over: Recipe, way: Way, table: pd.DataFrame) -> list[str]:
    """What to distrust of multipliers besides the fits."""
    names = ("N", "D", "C") if way.name == "C" and not single_input(over.fit.law) else (way.name,)
    told = [sentence for of in asked for sentence in different_ranges(of, over, names)]
    most = f" (looked for up to {np.exp(LOG_C_RANGE[1]):.0e})"
    for _, row in table[table["never"] > 0].iterrows():
        told.append(
            f"{over.name} does not reach the loss of {row['of']} at {way.name} = {row[way.name]:.3g} with any "
            f"{way.name}{most} in {row['never']:.1%} of draws: the multiplier is infinite there"
        )
    for _, row in table[table["undefined"] > 0].iterrows():
        told.append(
            f"{row['of']} has no optimum at {way.name} = {row[way.name]:.3g} in {row['undefined']:.1%} of draws: the "
            "multiplier is over the others"
        )
    return [*told, *far_beyond(table)]
