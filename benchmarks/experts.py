"""Clark et al.'s law of routed models fitted to their own runs, router by router; prints the tables of
docs/howto/experts.md.

    python benchmarks/experts.py

The runs come from the folder in `BAYESCALE_DATA`, from `../shared/data`, or from their pinned address.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

import bayescale as bs
from bayescale.models import ClarkRouted

CUTOFFS = {"S-Base": 937e9, "RL-R": 85e9, "Hash": 83e9}
"""As published, from constants before rounding."""
LARGEST = 1e9


def runs_of(router: str, runs: pd.DataFrame) -> pd.DataFrame:
    """A router's runs and the dense ones, one expert a token in every other layer, as the authors chose them."""
    kept = (runs["k"] == 1) & (runs["routing_frequency"] == 0.5) & (runs["seed"] == 42)
    return runs.loc[kept & runs["router"].isin([router, "Dense"]), ["N", "E", "loss"]]


def constants(router: str, found: bs.Fit) -> list[dict[str, Any]]:
    """The constants' intervals beside what is published."""
    published = {**ClarkRouted.published[f"Clark et al. 2022, {router}"], "N_cutoff": CUTOFFS[router]}
    table = found.summary(0.9).loc[list(published)]
    return [
        {"router": router, "quantity": n, "median": row.median, "low": row.low, "high": row.high,
         "published": published[n], "within": row.low < published[n] < row.high}
        for n, row in zip(published, table.itertuples(), strict=True)
    ]  # fmt: skip


def forecast(router: str, rows: pd.DataFrame) -> dict[str, Any]:
    """The largest models from the others: the error of log loss, and how many lie within 90 % intervals."""
    large = rows["N"] > LARGEST
    found = bs.fit("clark_routed", rows[~large])
    table = found.predict(rows.loc[large, ["N", "E"]], interval=0.9).query("quantity == 'new_run'")
    loss = rows.loc[large, "loss"].to_numpy()
    error = np.log(loss / table["median"].to_numpy())
    inside = (table["low"].to_numpy() < loss) & (loss < table["high"].to_numpy())
    width = float(np.log(table["high"].to_numpy() / table["low"].to_numpy()).mean() / 2)
    return {"router": router, "runs": len(error), "log_error": float(error.mean()), "half_width": width,
            "within": int(inside.sum())}  # fmt: skip


def main() -> None:
    runs = bs.datasets.load("routing")
    found, forecasts = [], []
    for router in CUTOFFS:
        rows = runs_of(router, runs)
        fit = bs.fit("clark_routed", rows)
        assert fit.converged, fit.failures
        found += constants(router, fit)
        forecasts.append(forecast(router, rows))
    print(pd.DataFrame(found).to_string(index=False, float_format="{:.4g}".format))
    print()
    print(pd.DataFrame(forecasts).to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
