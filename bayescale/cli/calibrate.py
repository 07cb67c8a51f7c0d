"""bayescale calibrate"""

from __future__ import annotations

from typing import Any

import click

from bayescale.cli.options import (
    Mass,
    Pair,
    json_option,
    likelihood_option,
    method_option,
    print_json,
    seed_option,
    settings_option,
    table_options,
)


@click.command("calibrate")
@click.argument("law")
@click.option("--simulations", default=500, show_default=True, help="Simulated data sets, at least 20.")
@click.option("--runs", help="A table or data set: simulated runs take its rows. Default: a spread over usual ranges.")
@click.option("--rows", default=40, show_default=True, help="Rows of a simulated table, without --runs.")
@click.option("-o", "--output", type=click.Path(), metavar="FILE|DIR",
              help="Add results to this file (DIR/LAW.jsonl) as they come, and continue it.")  # fmt: skip
@click.option("--processes", default=1, show_default=True, help="Processes to share the data sets.")
@settings_option
@table_options
@click.option("--centre", type=Pair(), multiple=True, metavar="NAME=VALUE",
              help="Where priors are stated: loss=2.7. Default: the centre of the rows.")  # fmt: skip
@likelihood_option
@method_option
@click.option("--mass", type=Mass(), default=0.95, show_default=True, help="Mass of the simultaneous bands.")
@seed_option
@json_option
def command(
    law: str,
    runs: str | None,
    output: str | None,
    settings: tuple[tuple[str, str], ...],
    columns: tuple[tuple[str, str], ...],
    where: tuple[str, ...],
    drop_bad: bool,
    centre: tuple[tuple[str, str], ...],
    as_json: bool,
    **options: Any,
) -> int:
    """Check LAW (a name, or FILE.py:NAME) by simulation: do its posteriors hold what they say?

    Constants are drawn from the prior, runs simulated, the law fitted, and the constants ranked among the posterior's
    draws: where posteriors are right the ranks are uniform. Exit status 0: calibrated; 1: not.
    """
    from bayescale.catalogue import law_from
    from bayescale.errors import UsageError
    from bayescale.progress import bar
    from bayescale.runs import read_runs
    from bayescale.studies.calibrate import calibrate
    from bayescale.studies.calibrate.calibration import as_json as entries

    table = None
    if runs is not None:
        table = read_runs(runs, columns=dict(columns), where=where, drop_bad=drop_bad)
    elif columns or where or drop_bad:
        raise UsageError("--column, --where and --drop-bad choose from the table of --runs; there is none")
    spec = law_from(law).replace(**dict(settings)) if settings else law
    try:
        with bar() as progress:
            found = calibrate(
                spec, table, output=output, centre={n: _number(n, v) for n, v in centre}, progress=progress, **options
            )
    except KeyboardInterrupt:
        kept = (
            f"; what was done is in {output}, and the same command goes on"
            if output
            else "; -o FILE keeps what is done"
        )
        click.echo(f"bayescale: interrupted{kept}", err=True)
        return 130
    if as_json:
        print_json(entries(found))
    else:
        click.echo(str(found))
        if output:
            click.echo(f"\nSaved to {output}.", err=True)
    return 0 if found.passed else 1


def _number(name: str, text: str) -> float:
    from bayescale.errors import UsageError

    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--centre {name}={text}: {text!r} is not a number") from None
