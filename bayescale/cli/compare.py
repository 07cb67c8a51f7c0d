"""bayescale compare"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bayescale.cli.options import (
    Pair,
    check_writable,
    checkpoints_option,
    json_option,
    likelihood_option,
    method_option,
    print_json,
    seed_option,
    sweeps_option,
    table_options,
)

if TYPE_CHECKING:
    from bayescale.studies.compare import Comparison


@click.command("compare")
@click.argument("data")
@click.option("--law", "laws", multiple=True, help="A law's name, or FILE.py:NAME; once for each. Default: all.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Save the comparison to this NetCDF file.")
@click.option("--prior-weight", "prior_weights", type=Pair(), multiple=True, metavar="LAW=WEIGHT",
              help="A law's prior weight, where they are not equal.")  # fmt: skip
@table_options
@likelihood_option
@method_option
@checkpoints_option
@sweeps_option
@seed_option
@json_option
def command(data: str, laws: tuple[str, ...], output: str | None, prior_weights: tuple[tuple[str, str], ...],
            columns: tuple[tuple[str, str], ...], where: tuple[str, ...], drop_bad: bool, as_json: bool,
            **settings: Any) -> int:  # fmt: skip
    """Compare laws on DATA: which of them the runs support, how strongly, and how that hangs on the priors."""
    from bayescale.progress import bar
    from bayescale.runs import read_runs
    from bayescale.studies.compare import compare

    runs = read_runs(data, columns=dict(columns), where=where, drop_bad=drop_bad)
    if output:
        check_writable(output)
    weights = {name: _weight(name, text) for name, text in prior_weights}
    with bar() as progress:
        found = compare(laws or None, runs, prior_weights=weights, progress=progress, **settings)
    if as_json:
        print_json(_json(found))
    else:
        click.echo(str(found))
    if output:  # last: a disk that is full costs the file, not the result
        found.save(output)
        if not as_json:
            click.echo(f"\nSaved to {output}.", err=True)
    return 0 if found.converged else 1


def _weight(name: str, text: str) -> float:
    from bayescale.errors import UsageError

    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--prior-weight {name}={text}: {text!r} is not a number") from None


def _json(comparison: Comparison) -> dict[str, Any]:
    laws = []
    table: Any = comparison.table
    for name, row in table.iterrows():
        entry: dict[str, Any] = {"law": name, **row.to_dict()}
        if name in comparison.evidence:
            evidence = comparison.evidence[name]
            entry |= {"k_hat": evidence.k_hat, "evidence_check": evidence.agreement}
        if name in comparison.sensitivity.index:
            entry["prior_sensitivity"] = comparison.sensitivity.loc[name].to_dict()
        laws.append(entry)
    return {
        "rows": comparison.rows,
        "source": next(iter(comparison.fits.values())).runs.source,
        "verdict": comparison.verdict,
        "warnings": list(comparison.warnings),
        "checks": list(comparison.checks),
        "laws": laws,
    }
