"""The three approaches to compute-optimal N and D as a screen of text."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bayescale.runs.cost import Cost
from bayescale.text.layout import aligned, wrapped


def approaches_text(table: pd.DataFrame, missing: Mapping[str, str], interval: float, cost: Cost) -> str:
    """A table of `Approaches.summary` as text: a block for each quantity, a line for each approach."""
    rows = []
    for _, part in table.groupby(["quantity", "C"], sort=False, dropna=False):
        quantity, C = str(part["quantity"].iloc[0]), float(part["C"].iloc[0])
        title = quantity if np.isnan(C) else f"{quantity} at {C:.3g}"
        for _, row in part.iterrows():
            span = f"{row.low:.3g} to {row.high:.3g}"
            rows.append(
                (title, str(row.approach), f"{row['median']:.3g}", span, "" if row.converged else "NOT CONVERGED")
            )
            title = ""
    lines = aligned(rows, ("", "approach", "median", f"{interval:.0%} interval", ""), left=2)
    absent = [line for name, why in missing.items() for line in wrapped((f"no {name}: {why}",))]
    counted = ["", *wrapped((cost.sentence,))] if cost.sentence else []
    return "\n".join([*lines, *([""] if absent else []), *absent, *counted])
