"""`Calibration`: ranks against their bands, as a table, as a screen of text, and as JSON."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from bayescale.law import Law
from bayescale.studies.calibrate import bands
from bayescale.studies.calibrate.design import Design
from bayescale.text.layout import WIDTH, aligned

MASS = 0.95


@dataclass(frozen=True, eq=False)
class Calibration:
    """Ranks of the constants that made each data set among draws of its posterior.

    If the posteriors are right the ranks of each quantity are uniform, whatever the design and the priors.

    Attributes
    ----------
    law : Law
    design : Design
        Where the rows were, and where the priors were stated.
    ranks : DataFrame
        One row a simulation (its number is the index), one column a quantity: the law's free constants, sigma and nu,
        mean_curve and new_run at the far point of the design, N_opt at a budget far beyond it and
        tokens_per_parameter at one within it (laws of N and D), and log_likelihood, which sees what constants alone do
        not (Modrák et al. 2023). Ranks are scaled to (0, 1), ties and steps broken at random.
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

    law: Law
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

    @property
    def passed(self) -> bool:
        """Whether every quantity passed, its p adjusted for their number, and nearly no posterior was refused.

        A right engine passes with probability `mass` at least. More than 5 % of refused posteriors do not pass: ranks
        say nothing of them.
        """
        return bool(self.summary["passed"].all()) and len(self.failures) <= 0.05 * self.simulations

    def __repr__(self) -> str:
        return calibration_text(self)


def calibration_text(found: Calibration) -> str:
    """The verdict, each quantity against its band, and how the posteriors were drawn."""
    header = ("", "deviation", "of band", "p", "")
    rows = []
    for name, row in found.summary.iterrows():
        mark = "" if row.inside else "outside the band" if row.passed else "FAILED"
        rows.append((str(name), f"{row.deviation:+.3f}", f"{row.excess:.2f}", f"{row.p:.2g}", mark))
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


def verdict(found: Calibration) -> str:
    """One sentence, two where posteriors were refused."""
    size, summary = len(found.ranks.columns), found.summary
    bad = [str(n) for n in summary.index[~summary["passed"]]]
    outside = int((~summary["inside"]).sum())
    if bad:
        text = f"NOT CALIBRATED: the ranks of {', '.join(bad)} are not uniform."
    elif not found.passed:
        text = "NOT CALIBRATED: too many posteriors were refused for the ranks of the rest to say enough."
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
        "settings": found.settings,
        "seconds": found.seconds,
    }
