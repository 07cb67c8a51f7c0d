"""bayescale approaches"""

from __future__ import annotations

from typing import Any

import click
import numpy as np

from bayescale.cli.options import (
    Numbers,
    cost_option,
    interval_option,
    json_option,
    print_json,
    say,
    seed_option,
    table_options,
)


@click.command("approaches")
@click.argument("data")
@click.option("--law", "law", default="chinchilla", show_default=True, help="A law of N and D, for the third approach.")
@click.option(
    "--C", "C", type=Numbers("C"), help="Budgets in FLOPs.  [default: the runs' largest, and a hundred times it]"
)
@click.option("--window", type=click.FloatRange(min=1.0, min_open=True), default=8.0, show_default=True,
              help="IsoFLOP profiles take runs within this factor of the N of the lowest loss.")  # fmt: skip
@table_options
@cost_option
@seed_option
@interval_option
@json_option
def command(data: str, law: str, C: np.ndarray | None, window: float, columns: tuple[tuple[str, str], ...],
            where: tuple[str, ...], drop_bad: bool, cost: str | None, seed: int, interval: float,
            as_json: bool) -> int:  # fmt: skip
    """Optimal N and D of DATA by envelope, isoFLOP profiles and a law (Hoffmann et al. 2022), side by side."""
    from bayescale import intervals
    from bayescale.progress import bar
    from bayescale.runs import read_runs
    from bayescale.studies.approaches import approaches
    from bayescale.text.approaches import approaches_text

    runs = read_runs(data, columns=dict(columns), where=where, drop_bad=drop_bad)
    with bar() as progress:
        found = approaches(runs, law, seed=seed, window=window, cost=cost, progress=progress)
    table = found.summary(C, interval)
    bad = [name for name, fit in found.fits.items() if not fit.converged]
    for name in bad:
        say(f"{name} has not converged: {'; '.join(found.fits[name].failures)}")
    if as_json:
        entries: dict[str, Any] = {name: {} for name in found.fits}
        for _, row in table.iterrows():
            entry = entries[row.approach]
            value = intervals.as_json(row)
            if row.quantity in ("a", "b"):
                entry[row.quantity] = value
            else:
                entry.setdefault("optima", {}).setdefault(row.C, {"C": row.C})[row.quantity] = value
        for name, entry in entries.items():
            entry |= {"converged": found.fits[name].converged, "optima": list(entry["optima"].values())}
        print_json({"interval_mass": interval, "source": str(runs.attrs["source"]), "approaches": entries,
                    "missing": dict(found.missing), "cost": found.cost.entry})  # fmt: skip
    else:
        click.echo(approaches_text(table, found.missing, interval, found.cost))
    return 1 if bad else 0
