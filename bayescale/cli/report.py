"""bayescale report"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from bayescale.cli.options import check_writable, interval_option, json_option, law_option, print_json


@click.command("report")
@click.argument("fit")
@click.option("-o", "--output", default="report.html", show_default=True, type=click.Path(dir_okay=False),
              help="The HTML file to write.")  # fmt: skip
@law_option
@interval_option
@json_option
def command(fit: str, output: str, law: str | None, interval: float, as_json: bool) -> int:
    """Write a report of FIT, a saved fit or comparison: one HTML file with a planner that works inside it."""
    from bayescale.loading import load
    from bayescale.report import report

    check_writable(output)
    found: Any = load(fit, law=law)  # what no report is of, `report` refuses
    line = ["bayescale", "report", fit, "-o", output, *(["--law", law] if law else [])]
    line += [] if interval == 0.9 else ["--interval", f"{interval:g}"]
    report(found, output, interval=interval, command=shlex.join(line))
    size = Path(output).stat().st_size
    if not found.converged:
        click.echo(f"bayescale: {fit} has not converged; the report says so: {'; '.join(found.failures)}", err=True)
    if as_json:
        print_json({"report": output, "bytes": size, "converged": found.converged, "failures": list(found.failures)})
    else:
        click.echo(f"{output} ({size / 1e6:.1f} MB)")
    return 0 if found.converged else 1
