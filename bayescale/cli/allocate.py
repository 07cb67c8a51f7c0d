"""bayescale allocate"""

from __future__ import annotations

from typing import Any

import click

from bayescale.cli.options import (
    Numbers,
    estimates_by_point,
    interval_option,
    json_option,
    law_option,
    print_json,
    trusted_fit,
)


@click.command("allocate")
@click.argument("fit")
@click.option("--C", "C", type=Numbers(), help="Budgets in FLOPs, separated by commas.")
@click.option("--loss", "loss", type=Numbers(), help="Target losses instead: the compute that each needs.")
@click.option("--N", "N", type=Numbers(), help="A model size in mind: what it costs to use it at the budgets.")
@law_option
@interval_option
@json_option
def command(fit: str, C: Any, loss: Any, N: Any, law: str | None, interval: float, as_json: bool) -> None:
    """Split compute between parameters and tokens by FIT: the posterior of the optimum at C = 6ND."""
    from bayescale.text import allocations_text

    found = trusted_fit(fit, law)
    table = found.allocate(C, loss=loss, N=N, interval=interval)
    if found.law.caution:
        click.echo(f"bayescale: note: {found.law.caution}", err=True)
    if as_json:
        allocations = estimates_by_point(table)
        if loss is not None:
            shares = table.groupby("target_loss", sort=False)["probability"].first()
            for entry in allocations:
                entry["probability"] = float(shares[entry["target_loss"]])
        print_json({"interval_mass": interval, "law": found.law.name, "allocations": allocations})
    else:
        click.echo(allocations_text(table, interval))
