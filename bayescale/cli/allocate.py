"""bayescale allocate"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import numpy as np

from bayescale.cli.options import (
    Number,
    Numbers,
    Pair,
    averaged_by,
    cost_of,
    cost_option,
    doubts,
    estimates_by_point,
    grouping_columns,
    groups_from,
    interval_option,
    json_option,
    law_entry,
    law_option,
    positive,
    print_doubts,
    print_json,
    trusted_fit,
    weights_option,
)

if TYPE_CHECKING:
    from bayescale.hardware import Hardware

NOT_NEGATIVE = Number(zero=True)
POSITIVE = Number()


@click.command("allocate")
@click.argument("fit")
@click.option("--C", "C", type=Numbers("C"), help="Budgets in FLOPs, separated by commas.")
@click.option("--gpu-hours", type=Numbers(), help="Budgets in GPU-hours (needs --peak and --mfu).")
@click.option("--money", type=Numbers(), help="Budgets in money (needs --peak, --mfu and --price).")
@click.option(
    "--loss",
    "--error",
    "loss",
    type=Numbers(),
    help="Target losses or error rates instead: the compute, or of a law of one its input, for each.",
)
@click.option("--N", "N", type=Numbers("N"), help="A model size in mind: what it costs to use it at the budgets.")
@click.option(
    "--inference-tokens", type=Number("D", zero=True), help="Tokens to serve, paid from the budget: 2N FLOPs each."
)
@click.option("--inference-cost", type=NOT_NEGATIVE, help="A FLOP of serving in FLOPs of training.  [default: 1]")
@click.option("--max-N", "max_N", type=Number("N"), help="Parameters at most.")
@click.option("--max-D", "max_D", type=Number("D"), help="Training tokens at most.")
@click.option(
    "--at",
    "held",
    type=Pair(),
    multiple=True,
    help="The value of another input of the law, NAME=VALUE, or groups of a pooled fit, corpus=c4 (default: every "
    "group; corpus=unseen is one that the table lacks).",
)
@cost_option
@click.option("--peak", type=POSITIVE, help="FLOP/s of a GPU at its peak, such as 989e12.")
@click.option("--mfu", type=POSITIVE, help="Share of the peak that training reaches, such as 0.4.")
@click.option("--price", type=POSITIVE, help="Of a GPU-hour, in any currency.")
@law_option
@weights_option
@interval_option
@json_option
def command(fit: str, C: np.ndarray | None, gpu_hours: np.ndarray | None, money: np.ndarray | None,
            loss: np.ndarray | None, N: np.ndarray | None, held: tuple[tuple[str, str], ...],
            peak: float | None, mfu: float | None, price: float | None, law: str | None, weights: str | None,
            interval: float, as_json: bool, cost: str | None, **terms: float | None) -> None:  # fmt: skip
    """Split compute between parameters and tokens by FIT, a saved fit or comparison: the optimum of each budget."""
    from bayescale.studies.compare.text import average_text
    from bayescale.text.fit import allocations_text

    hardware = _hardware(peak, mfu, price)
    budgets = _budgets(C, gpu_hours, money, hardware)
    found = trusted_fit(fit, law)
    given: Any = {n: x for n, x in terms.items() if x is not None}
    if cost is not None:
        given["cost"] = cost
    counted = cost_of(found, cost)
    columns = grouping_columns(found)
    given |= {n: groups_from(text, columns[n]) if n in columns else _number(n, text) for n, text in held}
    average = averaged_by(found, weights)
    table = found.allocate(budgets, loss=loss, N=N, interval=interval, **average, **given)
    told = doubts(found, table, average)
    shown = hardware.priced(table) if hardware else table
    if as_json:
        allocations = estimates_by_point(shown)
        head = {"interval_mass": interval, **law_entry(found, average), "cost": counted.entry, "warnings": told}
        if loss is not None and "C" not in set(table["quantity"]):  # a law of one input
            targets = [{"loss": e.pop("target_loss"), "reachable": e.pop("probability"), **e} for e in allocations]
            print_json({**head, "targets": targets})
        else:
            print_json({**head, "allocations": allocations})
    else:
        click.echo(allocations_text(shown, interval))
        if counted.sentence:
            click.echo(f"\n{counted.sentence}")
        if average:
            click.echo(f"\n{average_text(found, average['weights'], table)}")
        print_doubts(told)


def _hardware(peak: float | None, mfu: float | None, price: float | None) -> Hardware | None:
    from bayescale.errors import UsageError
    from bayescale.hardware import Hardware

    if peak is None and mfu is None and price is None:
        return None
    if peak is None or mfu is None:
        raise UsageError("GPU-hours and money need --peak (FLOP/s of a GPU) and --mfu (the share of it in use)")
    return Hardware(peak, mfu, price)


def _budgets(
    C: np.ndarray | None, gpu_hours: np.ndarray | None, money: np.ndarray | None, hardware: Hardware | None
) -> np.ndarray | None:
    from bayescale.errors import UsageError

    if gpu_hours is None and money is None:
        return C
    if sum(x is not None for x in (C, gpu_hours, money)) > 1:
        raise UsageError("give budgets once: --C, --gpu-hours or --money")
    if hardware is None:
        raise UsageError("GPU-hours and money need --peak (FLOP/s of a GPU) and --mfu (the share of it in use)")
    return hardware.flops(gpu_hours=gpu_hours, money=money)


def _number(name: str, text: str) -> float:
    from bayescale.errors import UsageError

    try:
        return positive(text, name)
    except UsageError as error:
        raise UsageError(f"--at {name}={text}: {error}") from None
