"""Multipliers of recipes as a screen of text."""

from __future__ import annotations

import textwrap

import pandas as pd

from bayescale import intervals
from bayescale.errors import printable
from bayescale.text.layout import WIDTH, aligned, interval_text


def multipliers_text(table: pd.DataFrame, interval: float = intervals.INTERVAL) -> str:
    """A table of `bayescale.studies.multiplier.multiplier` as text, and what the recipes share."""
    scale, best = str(table.columns[0]), "probability_best" in table
    rows = []
    for _, row in table.iterrows():
        median, span = interval_text(row.to_dict())
        chances = [f"{row['probability_better']:.0%}"] + ([f"{row['probability_best']:.0%}"] if best else [])
        outside = row[f"decades_{scale}"]
        place = (f"{row[scale]:.4g}", row["of"], row["over"])
        rows.append((*place, median, span, *chances, f"{outside:.1f}" if outside else "inside"))
    header = (scale, "of", "over", "times", f"{interval:.0%} interval", "P(better)", *(["P(best)"] if best else []))
    basis = textwrap.wrap(printable(str(table.attrs["basis"])), WIDTH)
    return "\n".join([*aligned(rows, (*header, "decades beyond data"), left=3), "", *basis])
