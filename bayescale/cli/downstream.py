"""bayescale downstream"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import pandas as pd

from bayescale.cli.options import (
    Pair,
    check_writable,
    given_inputs,
    input_options,
    interval_option,
    json_option,
    likelihood_option,
    method_option,
    print_json,
    say,
    seed_option,
    settings_option,
    table_options,
)

if TYPE_CHECKING:
    from bayescale.studies.downstream import Downstream


@click.command("downstream")
@click.argument("data")
@click.option("--law", "law", default="chinchilla", show_default=True, help="A law of the loss.")
@click.option("--error-law", "--task-law", "task_law", default="error_exponential", show_default=True,
              help="A law of an error rate, or another metric, in the loss.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Save both fits to this NetCDF file.")
@input_options
@settings_option
@click.option("--set-error", "--set-task", "task_settings", type=Pair(), multiple=True, metavar="NAME=VALUE",
              help="The same of --error-law, as --set is of --law (chance=0.75).")  # fmt: skip
@table_options
@likelihood_option
@method_option
@seed_option
@interval_option
@json_option
def command(
    data: str,
    law: str,
    task_law: str,
    output: str | None,
    settings: tuple[tuple[str, str], ...],
    task_settings: tuple[tuple[str, str], ...],
    columns: tuple[tuple[str, str], ...],
    where: tuple[str, ...],
    drop_bad: bool,
    likelihood: str,
    method: str,
    seed: int,
    interval: float,
    as_json: bool,
    **options: Any,
) -> int:
    """Predict an error rate from N, D, ... through the loss: two laws fitted to DATA, a table with both metrics.

    Cells may be empty: a row tells each law what it can.
    """
    from bayescale.catalogue import law_from
    from bayescale.progress import bar
    from bayescale.runs.partial import named_runs
    from bayescale.studies.downstream import fit_downstream
    from bayescale.text.fit import fits_text, predictions_text

    first, second = law_from(law), law_from(task_law)
    first = first.replace(**dict(settings)) if settings else first
    second = second.replace(**dict(task_settings)) if task_settings else second
    runs = named_runs(data, columns=dict(columns), where=where, drop_bad=drop_bad)
    for note in runs.attrs["notes"]:
        say(note)
    inputs = given_inputs(options)
    if output:
        check_writable(output)
    with bar() as progress:
        found = fit_downstream(first, second, runs, likelihood=likelihood, method=method, seed=seed, progress=progress)
    for failure in found.failures:
        say(f"not converged: {failure}")
    table = found.predict(interval=interval, **inputs) if inputs and found.converged else None
    if as_json:
        print_json(_json(found, table, interval))
    else:
        click.echo(fits_text(found.fits, found.warnings, interval))
        if table is not None:
            click.echo(f"\n{predictions_text(table, interval)}")
    if output:  # last: a disk that is full costs the file, not the result
        found.save(output)
        if not as_json:
            click.echo(f"\nSaved to {output}.", err=True)
    return 0 if found.converged else 1


def _json(found: Downstream, table: pd.DataFrame | None, interval: float) -> dict[str, Any]:
    from bayescale.intervals import as_json

    laws = {}
    for name, fit in found.fits.items():
        summary = fit.summary(interval).loc[list(fit.constants)]
        laws[fit.law.metric] = {
            "law": name,
            "rows": fit.runs.rows,
            "converged": fit.converged,
            "parameters": {name: as_json(row) for name, row in summary.iterrows()},
        }
    return {
        "interval_mass": interval,
        "source": found.loss.runs.source,
        "converged": found.converged,
        "warnings": list(found.warnings),
        "laws": laws,
        "predictions": [] if table is None else joint_predictions(table),
    }


def joint_predictions(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of `Downstream.predict` as one dict a point: its inputs, and an estimate for each metric and quantity."""
    from bayescale.intervals import as_json

    predictions = []
    points = list(table.columns[: list(table.columns).index("metric")])
    beyond = [c for c in table.columns if c.startswith("decades_")]
    for start in range(0, len(table), 4):
        part = table.iloc[start : start + 4]
        entry: dict[str, Any] = {n: part[n].iloc[0] for n in points}
        for _, row in part.iterrows():
            entry.setdefault(row["metric"], {})[row["quantity"]] = as_json(row)
        entry["decades_beyond_data"] = {c.removeprefix("decades_"): float(part[c].iloc[0]) for c in beyond}
        predictions.append(entry)
    return predictions
