"""bayescale kaplan"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import numpy as np

from bayescale.cli.options import Numbers, interval_option, json_option, print_json, trusted_fit

if TYPE_CHECKING:
    from bayescale.kaplan.plan import Quantity
    from bayescale.loading import Answer


@click.command("kaplan")
@click.argument("fits", nargs=-1, metavar="[FIT]...")
@click.option("--N", "N", type=Numbers("N"), help="Parameters without embeddings.")
@click.option("--D", "D", type=Numbers("D"), help="Tokens of data.")
@click.option("--C", "C", type=Numbers("C"), help="Compute, FLOPs (1 PF-day = 8.64e19).")
@click.option("--B", "B", type=Numbers("B"), help="Batch, tokens.")
@interval_option
@json_option
def command(fits: tuple[str, ...], N: np.ndarray | None, D: np.ndarray | None, C: np.ndarray | None,
            B: np.ndarray | None, interval: float, as_json: bool) -> None:  # fmt: skip
    """The plan of Kaplan et al. 2020 for a run of which some of N, D, C, B are known.

    Loss, overfitting, when to stop, critical batch, and the compute-efficient N, D, B and S, each with its equation.
    Constants are the published ones; a saved FIT of one of the paper's laws replaces those of its law, and what
    depends on them then has intervals.
    """
    from bayescale.kaplan.plan import constants_of, plan

    found = [trusted_fit(path, None) for path in fits]
    constants = constants_of([fit for fit in found if _single(fit)])
    run: dict[str, Any] = {
        n: v[0] if v.size == 1 else v for n, v in {"N": N, "D": D, "C": C, "B": B}.items() if v is not None
    }
    with np.errstate(all="ignore"):  # far outside of what any law is of, numbers overflow and are printed as inf
        lines = plan(**run, constants=constants)
    if as_json:
        sources = {law: k.source for law, k in constants.items()}
        rows = [_json(line, interval) for line in lines]
        print_json({"interval_mass": interval, "given": run, "constants": sources, "plan": rows})
    else:
        click.echo(_text(lines, interval))
        unique = dict.fromkeys(k.source for k in constants.values())
        click.echo("\nConstants: " + "; ".join(unique) + ".")


def _single(found: Answer) -> bool:
    from bayescale.errors import UsageError
    from bayescale.fit import Fit

    if not isinstance(found, Fit):
        raise UsageError("a plan takes saved fits of single laws, not a comparison")
    return True


def _json(line: Quantity, interval: float) -> dict[str, Any]:
    from bayescale.intervals import as_json

    values: dict[str, Any] = line.summary(interval)
    head = {"topic": line.topic, "quantity": line.name, "unit": line.unit, "equation": line.equation}
    return head | (values if "value" in values else as_json(values))


def _text(lines: list[Quantity], interval: float) -> str:
    from bayescale.text.layout import aligned

    intervals = any("value" not in line.summary(interval) for line in lines)
    rows: list[tuple[str, ...]] = []
    topic = ""
    for line in lines:
        if line.topic != topic:
            topic = line.topic
            rows += [("",) * (5 if intervals else 4)] * bool(rows) + [(topic,) + ("",) * (4 if intervals else 3)]
        found = line.summary(interval)
        middle = f"{found.get('value', found.get('median', 0.0)):.4g}"
        span = (f"{found['low']:.3g} to {found['high']:.3g}" if "low" in found else "",) * intervals
        rows.append((f"  {line.name}", middle, *span, line.unit, line.equation))
    span_header = (f"{interval:.0%} interval",) * intervals
    return "\n".join(aligned(rows, ("", "", *span_header, "unit", "source")))
