"""`Calibration`: ranks against their bands, as a table, as a screen of text, and as JSON."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from bayescale.law import AnyLaw
from bayescale.studies.calibrate import bands
from bayescale.studies.calibrate.design import Design
from bayescale.text.layout import WIDTH, aligned

MASS = 0.95
MASSES = (0.5, 0.9)
"""Of the central intervals whose coverage is counted."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Ranks of the constants that made each data set among draws of its posterior.

    If the posteriors are right the ranks of each quantity are uniform, whatever the design and the priors.

    Attributes
    ----------
    law : Law or Varying
    design : Design
        Where the rows were, and where the priors were stated.
    ranks : DataFrame
        One row a simulation (its number is the index), one column a quantity: the law's free constants, those of the
        scatter, mean_curve and new_run at the far point of the design, N_opt at a budget far beyond it and
        tokens_per_parameter at one within it (laws of N and D), and log_likelihood, which sees what constants alone do
        not (Modrák et al. 2023). With `pool` also spreads, the constants of each group and of one that the table lacks,
        ``E[unseen]``, and mean_curve and new_run of the first group; without a name they are of an unseen one. Ranks
        are scaled to (0, 1), ties and steps broken at random.
    methods : Series
        How each simulation's posterior was drawn, failed ones as 'none': 'batch', or where the batch did not pass the
        checks of a fit, what the ordinary fit says.
    failures : dict
        Number of a simulation whose posterior was refused -> why. These have no ranks.
    draws : int
        How many posterior draws a rank is out of.
    mass : float
        Of the simultaneous bands.
    settings : dict
        What decides the results, as a file of results states it.
    seconds : float
        Wall time of this call.
    """

    law: AnyLaw
    design: Design
    ranks: pd.DataFrame
    methods: pd.Series
    failures: dict[int, tuple[str, ...]]
    draws: int
    mass: float
    settings: dict[str, Any]
    seconds: float

    @property
    def simulations(self) -> int:
        """How many data sets were fitted, refused ones included."""
        return len(self.methods)

    def band(self, size: int | None = None, mass: float | None = None) -> pd.DataFrame:
        """The simultaneous band of the ECDF of uniform ranks.

        Parameters
        ----------
        size : int, optional
            How many ranks; those there are when None.
        mass : float, optional
            The probability that the ECDF of one quantity is inside everywhere; `Calibration.mass` when None.

        Returns
        -------
        DataFrame
            Columns at (where the ECDF is looked at), low and high.
        """
        size = len(self.ranks) if size is None else size
        low, high = bands.band(size, self.mass if mass is None else mass)
        return pd.DataFrame({"at": bands.points(size), "low": low, "high": high})

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Each quantity against the band.

        Returns
        -------
        DataFrame
            Index: quantities. Columns: deviation, the largest difference between the ECDF of the ranks and the
            uniform one; excess, the largest difference in units of the band's half width there (above 1 outside);
            p, the probability that uniform ranks stray as far; inside, whether the ECDF stays in its band; adjusted,
            p for the number of quantities (Holm 1979); passed, whether that is at least 1 - mass.
        """
        size = len(self.ranks)
        rows: dict[str, dict[str, Any]] = {}
        for name, values in self.ranks.items() if size > 1 else ():
            at, (low, high) = bands.points(size), bands.band(size, self.mass)
            off = bands.ecdf(values.to_numpy()) - at
            p = bands.p_value(values.to_numpy())
            half = np.where(off > 0, high - at, at - low)
            rows[str(name)] = {
                "deviation": float(off[np.abs(off).argmax()]),
                "excess": float(np.max(np.abs(off) / np.maximum(half, 0.5 / size))),
                "p": p,
                "inside": p >= 1 - self.mass,
            }
        columns = ["deviation", "excess", "p", "inside"]
        table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
        table["adjusted"] = bands.holm(table["p"].to_numpy())
        table["passed"] = table["adjusted"] >= 1 - self.mass
        return table

    @cached_property
    def coverage(self) -> pd.DataFrame:
        """How often central intervals hold the constants that made the data.

        Returns
        -------
        DataFrame
            Index: quantities. Columns: held_50 and held_90, the share of simulations whose 50 % and 90 % interval holds
            the truth; off, the mean rank less one half (negative: posteriors lie above the truth); p, the probability
            that intervals which hold what they say are held as far from it (binomial, the less likely of the two, times
            two); adjusted, p for the number of quantities (Holm 1979); passed, whether that is at least 1 - mass.
        """
        from scipy.special import bdtr, bdtrc

        size = len(self.ranks)
        distance = (self.ranks - 0.5).abs()
        p = np.ones(len(distance.columns))
        table = pd.DataFrame(index=distance.columns.astype(str))
        for m in MASSES:
            count = (distance < m / 2).sum().to_numpy(float)
            table[f"held_{m * 100:.0f}"] = count / max(size, 1)
            tail = np.minimum(bdtr(count, size, m), np.where(count > 0, bdtrc(count - 1, size, m), 1.0))
            p = np.minimum(p, 2 * len(MASSES) * tail)
        table["off"] = self.ranks.mean().to_numpy() - 0.5
        table["p"] = p
        table["adjusted"] = bands.holm(p)
        table["passed"] = table["adjusted"] >= 1 - self.mass
        return table

    @property
    def own_centre(self) -> bool:
        """Whether each fit had its priors at its own table's centre, so that coverage and not ranks is judged."""
        return self.settings.get("centre") == "table"

    @property
    def passed(self) -> bool:
        """Whether every quantity passed, its p adjusted for their number, and nearly no posterior was refused.

        A right engine passes with probability `mass` at least. More than 5 % of refused posteriors do not pass: ranks
        say nothing of them. What is judged is `summary`, and `coverage` where priors are at each table's own centre.
        """
        judged = self.coverage if self.own_centre else self.summary
        return bool(judged["passed"].all()) and len(self.failures) <= 0.05 * self.simulations

    def __repr__(self) -> str:
        return calibration_text(self)


def calibration_text(found: Calibration) -> str:
    """The verdict, each quantity against its band, and how the posteriors were drawn."""
    header, rows = _coverage_rows(found) if found.own_centre else _rank_rows(found)
    table = [line.rstrip() for line in aligned(rows, header)]
    return "\n".join(
        [
            f"{found.law.name}: {found.law.formula()}",
            *textwrap.wrap(f"{found.simulations} simulations, {found.design.source}", WIDTH),
            "",
            *textwrap.wrap(verdict(found), WIDTH),
            "",
            *table,
            "",
            *textwrap.wrap(_meaning(found), WIDTH),
            *textwrap.wrap(how(found), WIDTH),
        ]
    )


def _rank_rows(found: Calibration) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    rows: list[tuple[str, ...]] = []
    for name, row in found.summary.iterrows():
        mark = "" if row.inside else "outside the band" if row.passed else "FAILED"
        rows.append((str(name), f"{row.deviation:+.3f}", f"{row.excess:.2f}", f"{row.p:.2g}", mark))
    return ("", "deviation", "of band", "p", ""), rows


def _coverage_rows(found: Calibration) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    rows: list[tuple[str, ...]] = []
    for name, row in found.coverage.iterrows():
        held = (f"{row[f'held_{m * 100:.0f}']:.1%}" for m in MASSES)
        rows.append((str(name), *held, f"{row.off:+.3f}", f"{row.p:.2g}", "" if row.passed else "FAILED"))
    return ("", *(f"in {m:.0%}" for m in MASSES), "off", "p", ""), rows


def verdict(found: Calibration) -> str:
    """One sentence, two where posteriors were refused."""
    size, summary = len(found.ranks.columns), found.coverage if found.own_centre else found.summary
    bad = [str(n) for n in summary.index[~summary["passed"]]]
    outside = 0 if found.own_centre else int((~summary["inside"]).sum())
    if bad and found.own_centre:
        text = f"NOT CALIBRATED: intervals of {', '.join(bad)} do not hold the truth as often as they say."
    elif bad:
        text = f"NOT CALIBRATED: the ranks of {', '.join(bad)} are not uniform."
    elif not found.passed:
        text = "NOT CALIBRATED: too many posteriors were refused for the ranks of the rest to say enough."
    elif found.own_centre:
        text = f"Calibrated: intervals of all {size} quantities hold the truth as often as they say, as far as their "
        text += "number can show."
    else:
        text = f"Calibrated: the ranks of all {size} quantities are uniform, as far as their number can show."
    if outside and not bad:
        text += f" {outside} of {size} left the {found.mass:.0%} band, which happens to a right engine too."
    return text


def how(found: Calibration) -> str:
    """How the posteriors were drawn, in a sentence."""
    counts = found.methods.value_counts()
    alone = int(counts.drop(["batch", "none"], errors="ignore").sum())
    refused = len(found.failures)
    text = f"{int(counts.get('batch', 0))} posteriors were drawn in batches and {alone} alone; {refused} were refused"
    if refused:
        first = next(iter(found.failures.items()))
        text += f", the first being number {first[0]}: {'; '.join(first[1])}"
    return f"{text}. {found.seconds:.0f} s."


def _meaning(found: Calibration) -> str:
    if found.own_centre:
        error = 0.5 * (len(found.ranks) or 1) ** -0.5
        return (
            f"Priors at the centre of each table, as `fit` has them. In {MASSES[0]:.0%} and {MASSES[1]:.0%}: how often "
            f"the central interval of that mass holds the truth (standard error at 50%: {error:.1%}). Off: the "
            f"mean rank less one half. A quantity fails where p, multiplied by how many there are (Holm), is below "
            f"{1 - found.mass:.2g}."
        )
    return (
        f"Deviation: the largest difference between the ECDF of the ranks and the uniform one; of band: in units of "
        f"the half width of the simultaneous {found.mass:.0%} band. A quantity fails where p, multiplied by how many "
        f"quantities there are (Holm), is below {1 - found.mass:.2g}. A rank is out of {found.draws} draws."
    )


def as_json(found: Calibration) -> dict[str, Any]:
    """A calibration as the command line's JSON writes it."""
    return {
        "law": found.law.name,
        "simulations": found.simulations,
        "refused": len(found.failures),
        "methods": {str(n): int(x) for n, x in found.methods.value_counts().items()},
        "band_mass": found.mass,
        "draws": found.draws,
        "passed": found.passed,
        "verdict": verdict(found),
        "quantities": [{"quantity": str(n), **row.to_dict()} for n, row in found.summary.iterrows()],
        "coverage": [{"quantity": str(n), **row.to_dict()} for n, row in found.coverage.iterrows()],
        "settings": found.settings,
        "seconds": found.seconds,
    }
