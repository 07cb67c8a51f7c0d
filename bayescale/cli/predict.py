"""bayescale predict"""

from __future__ import annotations

from typing import Any

import click

from bayescale.cli.options import (
    averaged_by,
    cost_of,
    doubts,
    estimates_by_point,
    given_inputs,
    input_options,
    interval_option,
    json_option,
    law_entry,
    law_option,
    print_doubts,
    print_json,
    trusted_fit,
    weights_option,
)


@click.command("predict")
@click.argument("fit")
@input_options
@click.option("--runs", "runs", help="A table with the law's inputs as columns, instead of the options above.")
@law_option
@weights_option
@interval_option
@json_option
def command(fit: str, runs: str | None, law: str | None, weights: str | None, interval: float, as_json: bool,
            **options: Any) -> None:  # fmt: skip
    """Predict from FIT, a saved fit, comparison or downstream pair: mean curve and new run, with intervals."""
    from bayescale.cli.downstream import joint_predictions
    from bayescale.runs import read_runs
    from bayescale.studies.compare.text import average_text
    from bayescale.studies.downstream import Downstream
    from bayescale.text.fit import predictions_text

    found = trusted_fit(fit, law, downstream=True)
    average = averaged_by(found, weights)
    points = None if runs is None else read_runs(runs)
    table = found.predict(points, interval=interval, **average, **given_inputs(options, found))
    told = doubts(found, table, average)
    if as_json and isinstance(found, Downstream):
        head = {"interval_mass": interval, "laws": list(found.fits), "warnings": told}
        print_json({**head, "predictions": joint_predictions(table)})
    elif as_json:
        metric = found.metric if average else found.law.metric
        head = {"interval_mass": interval, **law_entry(found, average), "metric": metric, "cost": cost_of(found).entry}
        print_json({**head, "warnings": told, "predictions": estimates_by_point(table)})
    else:
        click.echo(predictions_text(table, interval))
        if not isinstance(found, Downstream) and (sentence := cost_of(found).sentence):
            click.echo(f"\n{sentence}")
        if average:
            click.echo(f"\n{average_text(found, average['weights'], table)}")
        print_doubts(told)
