"""bayescale calibrate"""

from __future__ import annotations

from typing import Any, Literal

import click

from bayescale.cli.options import (
    Mass,
    json_option,
    likelihood_option,
    method_option,
    pool_from,
    pool_option,
    print_json,
    seed_option,
    settings_option,
    table_options,
)


@click.command("calibrate")
@click.argument("law")
@click.argument("data", required=False)
@click.option("--simulations", default=500, show_default=True, help="Simulated data sets, at least 20.")
@click.option("--rows", default=40, show_default=True, help="Rows of a simulated table, without DATA.")
@click.option("-o", "--output", type=click.Path(), metavar="FILE|DIR",
              help="Add results to this file (DIR/LAW.jsonl) as they come, and continue it.")  # fmt: skip
@click.option("--processes", default=1, show_default=True, help="Processes to share the data sets.")
@settings_option
@table_options
@pool_option
@click.option("--centre", multiple=True, metavar="NAME=VALUE|table",
              help="Where priors are stated: loss=2.7. Default: the centre of the rows. table: of each fit at its own "
                   "table's centre, and coverage is reported.")  # fmt: skip
@likelihood_option
@method_option
@click.option("--mass", type=Mass(), default=0.95, show_default=True, help="Mass of the simultaneous bands.")
@seed_option
@json_option
def command(
    law: str,
    data: str | None,
    output: str | None,
    settings: tuple[tuple[str, str], ...],
    columns: tuple[tuple[str, str], ...],
    where: tuple[str, ...],
    drop_bad: bool,
    pool: tuple[tuple[str, str], ...],
    centre: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> int:
    """Check LAW (a name, or FILE.py:NAME) by simulation: do its posteriors hold what they say?

    Simulated runs take the rows of DATA (a table or data set), or a spread over usual ranges.

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
    if data is not None:
        table = read_runs(data, columns=dict(columns), where=where, drop_bad=drop_bad)
    elif columns or where or drop_bad:
        raise UsageError("--column, --where and --drop-bad choose from the table DATA; there is none")
    spec = law_from(law).replace(**dict(settings)) if settings else law
    try:
        with bar() as progress:
            found = calibrate(
                spec, table, output=output, centre=_centre(centre), pool=pool_from(pool), progress=progress, **options
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


def _centre(given: tuple[str, ...]) -> Literal["table"] | dict[str, float]:
    from bayescale.errors import UsageError

    if given == ("table",):
        return "table"
    found = {}
    for text in given:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (equals and name):
            raise UsageError(f"--centre {text}: give NAME=VALUE, such as loss=2.7, or table and no other")
        try:
            found[name] = float(value)
        except ValueError:
            raise UsageError(f"--centre {text}: {value!r} is not a number") from None
    return found
