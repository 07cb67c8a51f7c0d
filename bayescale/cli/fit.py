"""bayescale fit"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from bayescale.cli.options import (
    check_writable,
    checkpoints_option,
    cost_option,
    interval_option,
    json_option,
    likelihood_option,
    method_option,
    pool_from,
    pool_option,
    print_json,
    say,
    seed_option,
    settings_option,
    sweeps_option,
    table_options,
)

if TYPE_CHECKING:
    from bayescale.fit import Fit


@click.command("fit")
@click.argument("data")
@click.option(
    "--law", "law", default="chinchilla", show_default=True, help="A law's name (`bayescale laws`), or FILE.py:NAME."
)
@click.option("--metric", help="The column that the law is fitted to, in place of its own: error.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Save the fit to this NetCDF file.")
@settings_option
@table_options
@pool_option
@checkpoints_option
@sweeps_option
@cost_option
@likelihood_option
@method_option
@click.option("--chains", default=4, show_default=True, help="Chains, at least 4.")
@click.option("--draws", default=1000, show_default=True, help="Draws a chain to begin with, a multiple of 250.")
@click.option("--limit", default=8000, show_default=True, help="Draws a chain at which sampling stops.")
@seed_option
@interval_option
@json_option
def command(
    data: str,
    law: str,
    metric: str | None,
    output: str | None,
    settings: tuple[tuple[str, str], ...],
    columns: tuple[tuple[str, str], ...],
    where: tuple[str, ...],
    drop_bad: bool,
    pool: tuple[tuple[str, str], ...],
    interval: float,
    as_json: bool,
    **effort: Any,
) -> int:
    """Fit a law to DATA: a table (CSV, TSV, Excel, Parquet, JSON; compressed or not) or a data set's name (palm2)."""
    from bayescale.catalogue import law_from
    from bayescale.fit import fit
    from bayescale.progress import bar
    from bayescale.runs import read_runs
    from bayescale.text.fit import fit_text

    spec = law_from(law)
    if settings:
        spec = spec.replace(**dict(settings))
    runs = read_runs(
        data, columns=dict(columns), where=where, drop_bad=drop_bad, needs=[*spec.inputs, metric or spec.metric]
    )
    for note in runs.attrs["notes"]:
        say(note)
    if output:
        check_writable(output)
    with bar() as progress:
        found = fit(spec, runs, metric=metric, pool=pool_from(pool), progress=progress, **effort)
    if not found.converged:
        say(f"{found.law.name} has not converged: {'; '.join(found.failures)}")
    if as_json:
        print_json(_json(found, interval))
    else:
        click.echo(fit_text(found, interval))
    if output:  # last: a disk that is full costs the file, not the result
        found.save(output)
        if not as_json:
            click.echo(f"\nSaved to {output}.", err=True)
    return 0 if found.converged else 1


def _json(fit: Fit, interval: float) -> dict[str, Any]:
    from bayescale.intervals import as_json

    table = fit.summary(interval)
    entries = {name: as_json(row) for name, row in table.iterrows()}
    for name in fit.constants:
        quality = {k: float(table[k][name]) for k in ("r_hat", "ess_bulk", "ess_tail")}
        entries[name] |= {k: x if math.isfinite(x) else None for k, x in quality.items()}
    divergences = fit.samples.stats["diverging"].sum() if "diverging" in fit.samples.stats else 0
    return {
        "interval_mass": interval,
        "law": fit.law.name,
        **({"pool": {c: list(fit.law.varied(c)) for c in fit.law.columns}} if fit.law.columns else {}),
        "rows": fit.runs.rows,
        "cost": fit.runs.cost.entry,
        "checkpoints": fit.runs.checkpoints and fit.runs.checkpoints.entry,
        "source": fit.runs.source,
        "method": fit.samples.method,
        "seed": fit.seed,
        "converged": fit.converged,
        "failures": list(fit.failures),
        "divergences": int(divergences),
        "k_hat": fit.samples.k_hat,
        "seconds": dict(fit.seconds),
        "warnings": list(fit.warnings),
        "parameters": {n: entries[n] for n in fit.constants},
        "derived": {n: e for n, e in entries.items() if n not in fit.constants},
    }
