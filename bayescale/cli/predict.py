"""bayescale predict"""

from __future__ import annotations

from typing import Any

import click

from bayescale.cli.options import (
    estimates_by_point,
    given_inputs,
    input_options,
    interval_option,
    json_option,
    law_option,
    print_json,
    trusted_fit,
)


@click.command("predict")
@click.argument("fit")
@input_options
@click.option("--runs", "runs", help="A table with the law's inputs as columns, instead of the options above.")
@law_option
@interval_option
@json_option
def command(fit: str, runs: str | None, law: str | None, interval: float, as_json: bool, **options: Any) -> None:
    """Predict from FIT: the law's mean curve and a new run, with intervals, at given inputs."""
    from bayescale.runs import read_runs
    from bayescale.text import predictions_text

    found = trusted_fit(fit, law)
    table = found.predict(None if runs is None else read_runs(runs), interval=interval, **given_inputs(options))
    if as_json:
        predictions = estimates_by_point(table)
        beyond = [c for c in table.columns if c.startswith("decades_")]
        for entry, (_, row) in zip(predictions, table.iloc[::2].iterrows(), strict=True):
            entry["decades_beyond_data"] = {c.removeprefix("decades_"): float(row[c]) for c in beyond}
        print_json(
            {"interval_mass": interval, "law": found.law.name, "metric": found.law.metric, "predictions": predictions}
        )
    else:
        click.echo(predictions_text(table, interval))
