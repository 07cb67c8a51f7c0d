"""The three approaches to compute-optimal N and D of Hoffmann et al. 2022, side by side, each with its uncertainty.

1. *envelope*: along training curves, the model with the lowest loss at each compute (section 3.1);
2. *isoflop*: a parabola in log N through the runs of each budget, and a power law through its minima (section 3.2);
3. *parametric*: a law of N and D fitted to all runs, and its optimum (section 3.3).

Papers compare the exponents that they give. The second stage of the first two is a fit of the law `optimal_n`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from bayescale import intervals
from bayescale.arrays import Numbers
from bayescale.catalogue import LawLike
from bayescale.errors import DataError
from bayescale.fit import Fit, fit
from bayescale.progress import Progress, silent
from bayescale.runs import Source, read_runs
from bayescale.runs.checkpoints import run_column
from bayescale.runs.cost import Cost, CostLike, cost_from, recounted, table_cost
from bayescale.runs.inputs import checked_inputs
from bayescale.text.approaches import approaches_text

SAME_BUDGET = 0.02
"""Powers of ten of C within which runs share a budget: the loss must not vary with C within a profile."""
WINDOW = 8.0
"""A profile's runs are within this factor of the N of its lowest loss: a parabola is the valley's shape only there."""
LEAST_RUNS, LEAST_BUDGETS = 4, 3
POINTS = 200
"""Values of C at which training curves are compared."""


@dataclass(frozen=True, eq=False)
class Approaches:
    """What each approach finds.

    Attributes
    ----------
    fits : dict
        Approach -> its fit: of `optimal_n` for 'envelope' and 'isoflop', of the law of N and D for 'parametric'.
    optima : DataFrame
        Approach, C, N_opt and its log standard deviation log_se (NaN where it is not known): what `optimal_n` was
        fitted to.
    profiles : dict
        Budget in FLOPs -> the fit of `isoflop` to its runs.
    missing : dict
        Approach -> why the table cannot give it.
    cost : Cost
        What a run costs, by which all of them count.
    """

    fits: Mapping[str, Fit]
    optima: pd.DataFrame
    profiles: Mapping[float, Fit]
    missing: Mapping[str, str]
    cost: Cost = field(default_factory=Cost)

    def summary(self, C: Numbers | None = None, interval: float = intervals.INTERVAL) -> pd.DataFrame:
        """Exponents, and the optimum of budgets, by each approach.

        Parameters
        ----------
        C : array_like, optional
            Budgets in FLOPs; by default the largest of the runs', and a hundred times that.
        interval : float
            Mass of the equal-tailed intervals.

        Returns
        -------
        DataFrame
            Columns approach, quantity ('a', 'b': exponents of N_opt and D_opt; 'N_opt', 'D_opt'), C (NaN for
            exponents), median, mean, sd, low, high, converged.
        """
        intervals.checked_interval(interval)
        if C is None:
            C = self._largest() * np.array([1.0, 100.0])
        budgets = checked_inputs("approaches", ("C",), {"C": C})["C"].ravel()
        rows = []
        for name, found in self.fits.items():
            for quantity, budget, draws in _quantities(found, budgets, self.cost):
                place = {"approach": name, "quantity": quantity, "C": budget}
                rows.append({**place, **intervals.summarise(draws, interval), "converged": found.converged})
        return pd.DataFrame(rows)

    def _largest(self) -> float:
        largest = [float(f.runs.inputs["C"].max()) for n, f in self.fits.items() if n != "parametric"]
        if "parametric" in self.fits:
            inputs = self.fits["parametric"].runs.inputs
            largest.append(float(self.cost.flops(inputs["N"], inputs["D"]).max()))
        return max(largest)

    def __repr__(self) -> str:
        return approaches_text(self.summary(), self.missing, intervals.INTERVAL, self.cost)


def approaches(
    runs: Source,
    law: LawLike = "chinchilla",
    *,
    seed: int = 0,
    window: float = WINDOW,
    cost: CostLike = None,
    progress: Progress = silent,
) -> Approaches:
    """Optimal N and D as budgets grow, by training curves' envelope, isoFLOP profiles and a law of N and D.

    Parameters
    ----------
    runs : DataFrame, str or Path
        Whatever `read_runs` takes, with N, D and loss, or N, C and loss. Rows that share a `run` are its training
        curve: all of them make the envelope, the last one alone goes into the other two approaches.
    law : str, Law or type
        Of N and D, for the parametric approach.
    seed : int
    window : float
        See `WINDOW`.
    cost : str or Cost, optional
        As for `fit`: what a run costs, by which all approaches count.
    progress : callable
        Told of (stage, done, total).

    Returns
    -------
    Approaches

    Raises
    ------
    DataError
        The table gives none of the three.
    """
    given = cost_from(cost)
    table = recounted(read_runs(runs), given)
    if given is not None and {"N", "D"} <= set(table.columns):
        counts = given.flops(table["N"].to_numpy(), table["D"].to_numpy())
        attrs, table = table.attrs, table.assign(C=counts)
        table.attrs = attrs
    if (column := run_column(table)) not in (None, "run"):
        named = table.assign(run=table[column].astype(str))
        named.attrs, table = table.attrs, named
    if missing := [n for n in ("N", "C", "loss") if n not in table]:
        raise DataError(f"{table.attrs['source']}: the approaches need N, loss and D or C; there is no {missing[0]}")
    last = table.sort_values("C", kind="stable").groupby("run", sort=False).tail(1) if "run" in table else table
    counted = given or table_cost(table)[0]
    fits: dict[str, Fit] = {}
    absent: dict[str, str] = {}
    profiles: dict[float, Fit] = {}
    optima: list[pd.DataFrame] = []
    progress("approaches", 0, 3)
    for step, name in enumerate(("envelope", "isoflop", "parametric")):
        try:
            if name == "parametric":
                fits[name] = fit(law, last, seed=seed, cost=counted)
            else:
                if name == "envelope":
                    found = envelope(table)
                else:
                    profiles = isoflop_profiles(last, seed=seed, window=window)
                    found = profile_optima(profiles)
                fits[name] = fit("optimal_n", found.drop(columns="log_se").assign(**_standard_error(found)), seed=seed)
                optima.append(found.assign(approach=name))
        except DataError as error:
            absent[name] = str(error)
        progress("approaches", step + 1, 3)
    if not fits:
        raise DataError("; ".join(f"no {n}: {why}" for n, why in absent.items()))
    columns = ["approach", "C", "N_opt", "log_se"]
    best = pd.concat(optima)[columns] if optima else pd.DataFrame(columns=columns)
    return Approaches(fits, best, profiles, absent, counted)


def envelope(runs: Source) -> pd.DataFrame:
    """The models that are best at some compute along their training curves.

    Curves are interpolated in log C and log loss. Each model that is best somewhere gives one row, at the geometric
    middle of the stretch where it is. The smallest and the largest are left out: with no smaller or larger one to
    beat, their stretches have no end.

    Returns
    -------
    DataFrame
        Columns C, N_opt, log_se (NaN: an envelope has no error of its own).

    Raises
    ------
    DataError
        There are no training curves, or fewer than three models are best somewhere between the others.
    """
    table = read_runs(runs)
    if "run" not in table or table["run"].duplicated().sum() == 0:
        raise DataError("an envelope takes training curves: several rows a run, told apart by the column run")
    log_C = np.linspace(np.log(table["C"].min()), np.log(table["C"].max()), POINTS)
    N, curves = [], []
    for _, part in table.groupby("run", sort=False):
        curve = part.drop_duplicates("C").sort_values("C")
        if len(curve) > 1:
            x, y = np.log(curve["C"].to_numpy()), np.log(curve["loss"].to_numpy())
            curves.append(np.interp(log_C, x, y, left=np.inf, right=np.inf))
            N.append(float(curve["N"].iloc[0]))
    if not curves:
        raise DataError("an envelope takes training curves: no run has rows at two values of C")
    losses, sizes = np.array(curves), np.array(N)
    there = np.isfinite(losses).any(axis=0)
    best = sizes[losses[:, there].argmin(axis=0)]
    winners = np.unique(best)
    rows = [(float(np.exp(log_C[there][best == n].mean())), n) for n in winners[1:-1]]
    if len(rows) < LEAST_BUDGETS:
        raise DataError(
            f"{len(winners)} models are best somewhere along the envelope; the "
            f"smallest and the largest say nothing, and {LEAST_BUDGETS} others are needed"
        )
    return pd.DataFrame({"C": [c for c, _ in rows], "N_opt": [n for _, n in rows], "log_se": np.nan})


def isoflop_profiles(runs: Source, *, seed: int = 0, window: float = WINDOW) -> dict[float, Fit]:
    """A fit of the law `isoflop` to the runs of each budget.

    Parameters
    ----------
    runs : DataFrame, str or Path
        With N, C (or D) and loss.
    seed : int
    window : float
        Runs within this factor of the N of the budget's lowest loss are fitted.

    Returns
    -------
    dict
        Budget in FLOPs -> fit, for budgets with at least four runs there.

    Raises
    ------
    DataError
        No budget has four runs.
    """
    rows = profile_runs(runs, window=window)
    return {C: fit("isoflop", rows[rows["budget"] == C], seed=seed) for C in sorted(rows["budget"].unique().tolist())}


def profile_runs(runs: Source, *, window: float = WINDOW) -> pd.DataFrame:
    """The runs that make isoFLOP profiles, with a column `budget`.

    For the profiles in one hierarchical model, ``fit("isoflops", profile_runs(runs), pool={"budget": ["k"]})``.

    Parameters
    ----------
    runs : DataFrame, str or Path
        With N, C (or D) and loss.
    window : float
        Runs within this factor of the N of the budget's lowest loss are kept.

    Returns
    -------
    DataFrame
        Rows of budgets with at least four runs there, and their budget in FLOPs.

    Raises
    ------
    DataError
        No budget has four runs.
    """
    table = read_runs(runs)
    log_C = np.log10(table["C"].to_numpy())
    found = []
    for budget in shared_budgets(table["C"].to_numpy(), LEAST_RUNS, SAME_BUDGET):
        there = table[np.abs(log_C - np.log10(budget)) <= SAME_BUDGET]
        lowest = float(there["N"].iloc[int(there["loss"].to_numpy().argmin())])
        near = there[np.abs(np.log(there["N"] / lowest)) <= np.log(window)]
        if len(near) >= LEAST_RUNS:
            found.append(near.assign(budget=float(budget)))
    if not found:
        raise DataError(
            f"no budget has {LEAST_RUNS} runs whose C agree to {10**SAME_BUDGET - 1:.0%} and whose N lie within a "
            f"factor {window:g} of the best one's"
        )
    rows: pd.DataFrame = pd.concat(found)
    rows.attrs = table.attrs
    return rows


def profile_optima(profiles: Mapping[float, Fit]) -> pd.DataFrame:
    """The optimum of each budget: columns C, N_opt (posterior median), log_se (standard deviation of its log).

    Budgets whose fit has not converged are left out.

    Raises
    ------
    DataError
        Fewer than three budgets are left.
    """
    draws = {C: np.log(f.constants["N_opt"].ravel()) for C, f in profiles.items() if f.converged}
    if len(draws) < LEAST_BUDGETS:
        raise DataError(f"{len(draws)} budgets have a profile of {LEAST_RUNS} or more runs; {LEAST_BUDGETS} are needed")
    rows = [(C, float(np.exp(np.median(x))), float(x.std())) for C, x in draws.items()]
    return pd.DataFrame(rows, columns=["C", "N_opt", "log_se"])


def shared_budgets(compute: np.ndarray, runs: int, width: float, most: float = np.inf) -> np.ndarray:
    """Budgets that at least `runs` runs share to `width` powers of ten, the `most` popular of them, FLOPs, in order.

    The window of log C that holds the most runs is a budget, then that of the rest, and so on.
    """
    logs = np.sort(np.log10(compute))
    found: list[float] = []
    while len(found) < most and len(logs):
        counts = np.searchsorted(logs, logs + width, side="right") - np.arange(len(logs))
        start = int(counts.argmax())
        if counts[start] < runs:
            break
        found.append(float(np.median(logs[start : start + counts[start]])))
        logs = logs[np.abs(logs - found[-1]) > width]
    return np.asarray(10 ** np.sort(found))


def _standard_error(optima: pd.DataFrame) -> dict[str, pd.Series]:
    known = optima["log_se"].notna().all()
    return {"N_opt_se": optima["N_opt"] * optima["log_se"]} if known else {}


def _quantities(found: Fit, budgets: np.ndarray, cost: Cost) -> list[tuple[str, float, np.ndarray]]:
    """(quantity, budget, draws) of one approach; laws without the exponents have none."""
    rows: list[tuple[str, float, np.ndarray]] = []
    if found.law.metric == "N_opt":
        a = found.thinned()["a"]
        rows += [("a", np.nan, a), ("b", np.nan, (1 - cost.a * a) / cost.b)]
        N = np.asarray(found.predict_draws(C=budgets)["mean_curve"])
        D = cost.tokens(budgets, N)
    else:
        derived = found.law.quantities()
        optimum = found.allocate_draws(budgets)
        N, D = np.asarray(optimum["N"]), np.asarray(optimum["D"])
        if {derived.get("a"), derived.get("b")} == {()}:
            rows += [(n, np.nan, x) for n, x in _exponents(found, budgets, cost).items()]
    for i, C in enumerate(budgets):
        rows += [("N_opt", float(C), N[:, i]), ("D_opt", float(C), D[:, i])]
    return rows


def _exponents(found: Fit, budgets: np.ndarray, cost: Cost) -> dict[str, np.ndarray]:
    """Exponents of the optima of a law that has them, by its own formula where runs cost k ND."""
    if cost.linear:
        return {n: found.derive_draws(n) for n in ("a", "b")}
    pair = found.allocate_draws(budgets[0] * np.array([1.0, 100.0]))
    return {n: np.diff(np.log(np.asarray(pair[x])))[:, 0] / np.log(100) for n, x in (("a", "N"), ("b", "D"))}
