"""A comparison as a screen of text: verdict, table, what to distrust; and what an average is over."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bayescale.errors import printable
from bayescale.studies.compare.average import law_weights
from bayescale.studies.compare.compared import Compared
from bayescale.studies.compare.verdict import probability_text
from bayescale.text.layout import aligned, wrapped


def comparison_text(comparison: Compared) -> str:
    """A comparison on one screen: verdict, table, what to distrust."""
    fit = next(iter(comparison.fits.values()))
    rows = []
    for name, row in comparison.table.iterrows():
        if not row.converged:
            rows.append((str(name), "NOT CONVERGED", *[""] * 8, _seconds(row.seconds)))
            continue
        mark = "" if row.trusted else " ?"
        rows.append(
            (
                str(name),
                "" if np.isnan(row.log_evidence) else f"{row.log_evidence:.2f} +- {row.log_evidence_se:.2f}{mark}",
                "" if np.isnan(row.log_bayes_factor) else f"{row.log_bayes_factor:.2f}",
                "" if np.isnan(row.probability) else probability_text(row.probability),
                "" if np.isnan(row.elpd_loo) else f"{row.elpd_loo:.1f} +- {row.elpd_loo_se:.1f}",
                "" if np.isnan(row.weight) else f"{row.weight:.2f}",
                "" if np.isnan(row.elpd_holdout) else f"{row.elpd_holdout:.1f} +- {row.elpd_holdout_se:.1f}",
                f"{row.sigma:.3g}",
                "" if np.isnan(row.nu) else f"{row.nu:.2g}",
                f"{row.r2:.4f}",
                _seconds(row.seconds),
            )
        )
    header: tuple[str, ...] = ("law", "log evidence", "log BF", "probability", "elpd loo", "stacking", "elpd holdout")
    header += ("sigma", "nu", "R2", "s")
    lines = [printable(f"{len(comparison.table)} laws on {comparison.rows} rows of {fit.runs.source}"), ""]
    lines += [line.removeprefix("  - ").removeprefix("    ") for line in wrapped((comparison.verdict,))]
    lines += ["", *aligned(rows, header)]
    if comparison.checks:
        lines += ["", "Checked:", *wrapped(comparison.checks)]
    if comparison.warnings:
        lines += ["", "Mind:", *wrapped(comparison.warnings)]
    return "\n".join(lines)


def average_text(comparison: Compared, rule: str, table: pd.DataFrame) -> str:
    """What an average is over, and how much of its variance lies between the laws."""
    shares = law_weights(comparison, rule)
    over = ", ".join(f"{n} {w:.3f}" for n, w in sorted(shares.items(), key=lambda item: -item[1]))
    known = table[table["sd"].notna()]  # a new run has no variance
    between = known["sd_between"] ** 2 / known["sd"] ** 2
    span = f"{between.min():.0%} to {between.max():.0%}" if len(between) > 1 else f"{between.iloc[0]:.0%}"
    return f"Averaged by {rule} over {over}; {span} of the variance lies between laws."


def _seconds(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.1f}"
