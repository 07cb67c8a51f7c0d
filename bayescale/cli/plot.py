"""bayescale plot"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bayescale.cli.options import (
    check_writable,
    given_inputs,
    input_options,
    interval_option,
    json_option,
    law_option,
    print_json,
    say,
    weights_option,
)

if TYPE_CHECKING:
    from bayescale.loading import Answer

KINDS = {
    "loss": "the metric against an input or C: runs, mean curve, new run",
    "isoflop": "loss against N at fixed budgets, with each optimum",
    "allocation": "the compute-optimal frontier: N and D against C",
    "surface": "the metric over two inputs, with the frontier",
    "residuals": "residuals against fitted values and inputs, and the fitted noise",
    "priors": "prior and posterior of each constant",
    "pair": "the joint posterior of the constants, two by two",
    "predictive": "posterior predictive check: are the intervals as wide as they say",
    "comparison": "evidence and weights of a comparison",
    "calibration": "ranks of simulation-based calibration",
    "trace": "draws of each constant, chain by chain",
    "rank": "ranks of the draws of each chain",
    "ess": "effective sample size along the posterior",
    "autocorrelation": "autocorrelation of the draws",
}
FORMATS = ("png", "svg", "pdf")
OPTIONS = {
    "against": "against", "beyond": "beyond", "references": "reference", "constants": "constant",
    "weights": "weights", "interval": "interval",
}  # fmt: skip
"""Keywords of the plotting functions by the option that sets them."""


class Kind(click.ParamType):  # type: ignore[type-arg]
    """A kind of plot."""

    name = "kind"

    def convert(self, value: str, param: click.Parameter | None, context: click.Context | None) -> str:
        """Check a name."""
        from bayescale.errors import did_you_mean

        if value not in KINDS:
            self.fail(
                f"there is no plot {value!r}{did_you_mean(value, KINDS)}; there are {', '.join(KINDS)}", param, context
            )
        return str(value)


KINDS_TEXT = "\b\n" + "\n".join(f"{name:16}{what}" for name, what in KINDS.items())


@click.command(
    "plot",
    help="Draw KIND of FIT, a saved fit or comparison, into a file.\n\nLoss, isoflop and allocation also take a "
    f"comparison, averaged over its laws; calibration takes the "
    f"file that `bayescale calibrate` wrote. The kinds:\n\n{KINDS_TEXT}",
)
@click.argument("kind", type=Kind())
@click.argument("fit")
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), help="FILE.png, FILE.svg or FILE.pdf.")
@click.option("--against", help="loss: the input on the axis, or C.")
@click.option("--beyond", type=click.FloatRange(min=0), help="Powers of ten to go on beyond the runs.")
@click.option("--reference", "references", multiple=True, metavar="NAME",
              help="allocation: a published recipe to draw, or all; once for each.")  # fmt: skip
@click.option("--constant", "constants", multiple=True, metavar="NAME",
              help="priors, pair and diagnostics: only this constant; once for each.")  # fmt: skip
@input_options
@click.option("--width", type=click.FloatRange(min=1, max=60), help="Of the figure, inches.")
@click.option("--height", type=click.FloatRange(min=1, max=60), help="Of the figure, inches.")
@click.option("--dpi", type=click.IntRange(min=30, max=1200), default=200, show_default=True, help="Of a PNG.")
@click.option("--of", "of", metavar="LAW", help="Of a file of several fits: that of this law alone.")
@law_option
@weights_option
@interval_option
@json_option
@click.pass_context
def command(context: click.Context, /, kind: str, fit: str, output: str, width: float | None, height: float | None,
            dpi: int, of: str | None, law: str | None, as_json: bool, **options: Any) -> None:  # fmt: skip
    """Draw KIND of FIT into a file; the help above lists the kinds."""
    from bayescale import plot
    from bayescale.errors import DataError
    from bayescale.plot.kinds import DIAGNOSTICS

    form = _format(output)
    check_writable(output)
    draw = getattr(plot, kind)
    found = _load(kind, fit, law, of)
    asked = _asked(context, kind, draw, options, found)
    if kind not in (*DIAGNOSTICS, "calibration") and not found.converged:
        raise DataError(
            f"{fit} has not converged and its plot is no answer: {'; '.join(found.failures)} "
            f"(of such a fit there are {', '.join(DIAGNOSTICS)})"
        )
    size = _save(draw, found, asked, Path(output), form, (width, height), dpi)
    told = [] if isinstance(found, Path) else list(found.warnings)
    if as_json:
        name = getattr(getattr(found, "law", None), "name", None)
        entry = {"kind": kind, "file": output, "format": form, "law": name, "width": size[0], "height": size[1]}
        print_json({**entry, "warnings": told})
    else:
        for sentence in told:
            say(f"mind: {sentence}")
        click.echo(f"Saved to {output}.", err=True)


def _format(output: str) -> str:
    from bayescale.errors import UsageError

    form = Path(output).suffix.lower().removeprefix(".")
    if form not in FORMATS:
        raise UsageError(f"cannot write {output}: the name of a plot ends with .{', .'.join(FORMATS)}")
    return form


def _load(kind: str, path: str, law: str | None, one: str | None) -> Any:
    """What a file holds, or the fit of one of the laws that it holds."""
    from bayescale.errors import UsageError, did_you_mean
    from bayescale.fit import Fit
    from bayescale.loading import load

    if kind == "calibration":
        return Path(path)
    found = load(path, law=law)
    if one is None:
        return found
    if isinstance(found, Fit):
        raise UsageError(f"--of names a law of a file of several; {path} holds a fit of {found.law.name}")
    if one not in found.fits:
        raise UsageError(f"{path} has no law {one!r}{did_you_mean(one, found.fits)}; it has {', '.join(found.fits)}")
    return found.fits[one]


def _asked(
    context: click.Context, kind: str, draw: Callable[..., Any], options: dict[str, Any], found: Answer | Path
) -> dict[str, Any]:
    """The keywords of the plotting function that were given; refuses those that it does not have."""
    from bayescale.errors import UsageError

    parameters = inspect.signature(draw).parameters
    asked = {n: options[n] for n in OPTIONS if options[n] not in (None, ())}
    if context.get_parameter_source("interval") is click.core.ParameterSource.DEFAULT and "interval" not in parameters:
        del asked["interval"]
    asked |= given_inputs(options, None if isinstance(found, Path) else found)
    takes_inputs = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    for name in asked:
        if name in parameters or (name not in OPTIONS and takes_inputs):
            continue
        has = [f"--{o}" for n, o in OPTIONS.items() if n in parameters] + ["--N, --D, ..."] * takes_inputs
        option = f"--{OPTIONS[name]}" if name in OPTIONS else f"{name} as an input"
        raise UsageError(f"the plot {kind} does not take {option}; it takes {', '.join(has) or 'no such options'}")
    return asked


def _save(draw: Callable[..., Any], found: Answer | Path, asked: dict[str, Any], output: Path, form: str,
          size: tuple[float | None, float | None], dpi: int) -> tuple[float, float]:  # fmt: skip
    """Draw without a display and write the file, whole; returns the figure's size in inches."""
    import matplotlib
    import numpy as np

    from bayescale.storage.atomic import whole_file

    # no dates and no random names: the same fit gives the same bytes
    metadata: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form, {})
    matplotlib.use("Agg")
    with matplotlib.rc_context({"svg.hashsalt": "bayescale"}):
        import matplotlib.pyplot as plt

        figure = np.ravel(draw(found, **asked))[0].figure
        try:
            width, height = (float(s or have) for s, have in zip(size, figure.get_size_inches(), strict=True))
            figure.set_size_inches(width, height)
            with whole_file(output) as temporary:
                figure.savefig(temporary, format=form, dpi=dpi, metadata=metadata)
        finally:
            plt.close(figure)
    return width, height
