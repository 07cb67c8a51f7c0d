"""bayescale allocate"""

from __future__ import annotations

from typing import Any

import click

from bayescale.cli.options import (
    Numbers,
    averaged_by,
    estimates_by_point,
    interval_option,
    json_option,
    law_entry,
    law_option,
    print_json,
    trusted_fit,
    weights_option,
)


@click.command("allocate")
@click.argument("fit")
@click.option("--C", "C", type=Numbers(), help="Budgets in FLOPs, separated by commas.")
@click.option("--loss", "loss", type=Numbers(), help="Target losses instead: the compute that each needs.")
@click.option("--N", "N", type=Numbers(), help="A model size in mind: what it costs to use it at the budgets.")
@law_option
@weights_option
@interval_option
@json_option
def command(fit: str, C: Any, loss: Any, N: Any, law: str | None, weights: str | None, interval: float,
            as_json: bool) -> None:  # fmt: skip
    """Split compute between parameters and tokens by FIT, a saved fit or comparison: the optimum at C = 6ND."""
    from bayescale.compare.verdict import average_text
    from bayescale.errors import UsageError
    from bayescale.text import allocations_text

    found = trusted_fit(fit, law)
    if average := averaged_by(found, weights):
        if C is None or loss is not None or N is not None:
            raise UsageError("a comparison's average takes budgets (--C) only; --loss and --N are for a fit of one law")
        table = found.allocate(C, interval=interval, **average)
    else:
        table = found.allocate(C, loss=loss, N=N, interval=interval)
    cautious = [found.fits[n].law for n in found.weights(average["weights"])] if average else [found.law]
    for caution in dict.fromkeys(law.caution for law in cautious if law.caution):
        click.echo(f"bayescale: note: {caution}", err=True)
    if as_json:
        allocations = estimates_by_point(table)
        if loss is not None:
            shares = table.groupby("target_loss", sort=False)["probability"].first()
            for entry in allocations:
                entry["probability"] = float(shares[entry["target_loss"]])
        print_json({"interval_mass": interval, **law_entry(found, average), "allocations": allocations})
    else:
        click.echo(allocations_text(table, interval))
        if average:
            click.echo(f"\n{average_text(found, average['weights'], table)}")
