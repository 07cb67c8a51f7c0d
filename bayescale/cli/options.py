"""Options and output that commands share."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import numpy as np
import pandas as pd

from bayescale import intervals
from bayescale.cli.printed import PRINTED
from bayescale.errors import DataError, UsageError, printable

if TYPE_CHECKING:
    from bayescale.loading import Answer
    from bayescale.runs.cost import Cost

F = TypeVar("F", bound=Callable[..., Any])

INPUTS = ("N", "D", "C", "S", "B", "U", "E")
_THOUSANDS = re.compile("[1-9][0-9]{0,2}(,[0-9]{3})+")


class Number(click.ParamType):  # type: ignore[type-arg]
    """A positive number as people write it: 70e9, 70B, '1e21 FLOPs', 1.2*10^21; zero too where `zero` says so."""

    name = "number"

    def __init__(self, of: str = "", *, zero: bool = False) -> None:
        self.of, self.zero = of, zero

    def convert(self, value: object, param: click.Parameter | None, context: click.Context | None) -> Any:
        """Text to a number."""
        if not isinstance(value, str):
            return value
        try:
            return positive(value, self.of, zero=self.zero)
        except UsageError as error:
            self.fail(str(error), param, context)


class Numbers(click.ParamType):  # type: ignore[type-arg]
    """Positive numbers separated by commas: 70e9 or 1e9,7B."""

    name = "numbers"

    def __init__(self, of: str = "") -> None:
        self.of = of

    def convert(self, value: object, param: click.Parameter | None, context: click.Context | None) -> Any:
        """Text to an array."""
        if not isinstance(value, str):
            return value
        if _THOUSANDS.fullmatch(value.strip()):
            plain, some = value.strip().replace(",", ""), ", ".join(value.strip().split(","))
            self.fail(
                f"{value!r} could be the number {plain} or a list, since commas separate numbers here: "
                f"write {plain}, or with spaces '{some}'",
                param,
                context,
            )
        try:
            return np.array([positive(part, self.of) for part in value.split(",")])
        except UsageError as error:
            self.fail(f"{error}; several are separated by commas, such as 1e9,7B", param, context)


def positive(text: str, of: str = "", *, zero: bool = False) -> float:
    """A positive number as people write it, of the inputs of a law perhaps (``of``: 'N', 'C', ...).

    Raises
    ------
    UsageError
        The text is no number, or not positive and finite, or in units of something else.
    """
    from bayescale.runs.names import COLUMNS
    from bayescale.runs.numbers import KINDS, quantity

    found = quantity(text)
    if found is None:
        raise UsageError(f"{text!r} is not a number, such as 7e9, 7B or 1.2*10^21")
    if found.unit and of and found.unit not in KINDS.get(of, ()):
        raise UsageError(f"{text!r} is in {found.unit}, and {of} counts {COLUMNS.get(of, 'something else')}")
    if not (math.isfinite(found.value) and (found.value > 0 or (zero and found.value == 0))):
        raise UsageError(f"{text!r}: numbers must be positive and finite")
    return found.value


class Mass(click.ParamType):  # type: ignore[type-arg]
    """An interval's mass between 0 and 1."""

    name = "mass"

    def convert(self, value: str | float, param: click.Parameter | None, context: click.Context | None) -> float:
        """Text to a mass."""
        try:
            mass = float(value)
        except ValueError:
            mass = math.nan
        if not 0 < mass < 1:
            self.fail(f"{value!r} is not a mass between 0 and 1 (0.9 for 90 %)", param, context)
        return mass


class Pair(click.ParamType):  # type: ignore[type-arg]
    """NAME=VALUE."""

    name = "name=value"

    def convert(self, value: object, param: click.Parameter | None, context: click.Context | None) -> Any:
        """Text to a pair."""
        if not isinstance(value, str):
            return value
        name, equals, text = value.partition("=")
        if not (equals and name.strip() and text.strip()):
            self.fail(f"{value!r} is not NAME=VALUE", param, context)
        return name.strip(), text.strip()


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
interval_option = click.option(
    "--interval", type=Mass(), default=intervals.INTERVAL, show_default=True, help="Mass of the equal-tailed intervals."
)
law_option = click.option("--law", "law", help="The fit's law, where it does not ship: FILE.py:NAME.")
seed_option = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the random numbers."
)
settings_option = click.option(
    "--set",
    "settings",
    type=Pair(),
    multiple=True,
    metavar="NAME=VALUE",
    help="Pin a constant (E=1.69), tie it (beta=alpha) or give it a prior (E='Uniform(1, 2)').",
)
likelihood_option = click.option(
    "--likelihood",
    default="student_t",
    show_default=True,
    help="student_t, normal, laplace, or ar1 for rows along a run.",
)
pool_option = click.option(
    "--pool",
    type=Pair(),
    multiple=True,
    metavar="COLUMN=NAMES",
    help="Constants that vary by a column: corpus=E,A; run=loss for effects of runs.",
)
method_option = click.option("--method", default="nuts", show_default=True, help="nuts, or laplace for a quick look.")


checkpoints_option = click.option(
    "--checkpoints", default="auto", show_default=True, metavar="HOW",
    help="Of several rows of one run: last, along (all along it, by ar1), effects (of runs), or all as if independent.",
)  # fmt: skip
sweeps_option = click.option(
    "--sweeps", default="best", show_default=True, metavar="HOW",
    help="Of runs alike but for a learning rate or a batch size: the best setting of each sweep, or all, as scatter.",
)  # fmt: skip
cost_option = click.option(
    "--cost", metavar="FORMULA",
    help="What a run costs in FLOPs, '6*N*D' or '7*N^0.98*D'.  [default: what the table's C says, else 6*N*D]",
)  # fmt: skip


def table_options(function: F) -> F:
    """Options for what of a table is read: --column NAME=COLUMN, --where 'COLUMN > VALUE', --drop-bad."""
    function = click.option(
        "--drop-bad", is_flag=True, help="Leave out rows with cells that cannot be used; they are counted."
    )(function)
    function = click.option(
        "--where", multiple=True, metavar="CONDITION",
        help="Use only rows of which this holds: State=finished, 'D > 1e9', mix!=web; once for each.",
    )(function)  # fmt: skip
    return click.option(
        "--column",
        "columns",
        type=Pair(),
        multiple=True,
        metavar="NAME=COLUMN",
        help="Which column of the table is N, D, loss, error, ...: N=params, 'N=params (M)*1e6', 'loss=log(ppl)'.",
    )(function)


def pool_from(pairs: tuple[tuple[str, str], ...]) -> dict[str, list[str]] | None:
    """What varies by each column, as `fit` takes it."""
    found: dict[str, list[str]] = {}
    for column, names in pairs:
        found.setdefault(column, []).extend(n.strip() for n in names.split(",") if n.strip())
    return found or None


def input_options(function: F) -> F:
    """Options for a law's inputs: --N, --D, ... and --at NAME=VALUES for any other."""
    function = click.option(
        "--at",
        "others",
        type=Pair(),
        multiple=True,
        help="Another input of the law, NAME=VALUES, or groups of a pooled fit, corpus=c4 (default: every group; "
        "corpus=unseen is one that the table lacks).",
    )(function)
    for name in reversed(INPUTS):
        function = click.option(
            f"--{name}", name, type=Numbers(name), help=f"Values of {name}, separated by commas: 1e9,70B."
        )(function)
    return function


def given_inputs(options: dict[str, Any], found: Answer | None = None) -> dict[str, Any]:
    """The inputs among a command's options, and the groups that they name, for a fit or comparison."""
    inputs = {n: options[n] for n in INPUTS if options[n] is not None}
    columns = grouping_columns(found)
    others = {n: groups_from(v, columns[n]) if n in columns else _input(n, v) for n, v in options["others"]}
    return inputs | others


def grouping_columns(found: Answer | None) -> dict[str, tuple[str, ...]]:
    """The columns by which a fit, or any of a comparison's, is pooled, with their groups."""
    if found is None:
        return {}
    from bayescale.fit import Fit

    fits = [found] if isinstance(found, Fit) else found.fits.values()
    return {column: labels for fit in fits for column, labels in fit.law.columns.items()}


def _input(name: str, text: str) -> Any:
    from bayescale.runs.features import feature_of

    if not feature_of(name).numeric:
        return [part.strip() for part in text.split(",")]
    return Numbers(name).convert(text, None, None)


def groups_from(text: str, labels: tuple[str, ...]) -> str | list[str]:
    """Names of groups separated by commas, or one name that has some."""
    return text if text in labels or "," not in text else [part.strip() for part in text.split(",")]


def trusted_fit(path: str, law: str | None, *, downstream: bool = False) -> Any:
    """A saved fit or comparison, refused where it, or every law of it, has not converged.

    Raises
    ------
    UsageError
        The file holds two fits joined by `bayescale downstream`, and the command has no use for them.
    """
    from bayescale.loading import load
    from bayescale.studies.downstream import Downstream

    fit = load(path, law=law)
    if isinstance(fit, Downstream) and not downstream:
        raise UsageError(
            f"{path} holds fits of {' and '.join(fit.fits)}, joined by `bayescale downstream`: `bayescale predict` "
            "reads them together; here, give a file of one fit"
        )
    if not fit.converged:
        raise DataError(f"{path} has not converged and is no answer: {'; '.join(fit.failures)}", code="not_converged")
    return fit


weights_option = click.option(
    "--weights",
    help="Of a comparison: average over its laws by evidence (the default), stacking, holdout (forecasts) or equal.",
)


def averaged_by(found: Answer, weights: str | None) -> dict[str, Any]:
    """What a saved comparison's predictions are averaged by, as arguments; nothing for a fit.

    Raises
    ------
    UsageError
        Weights are given for a single fit.
    """
    from bayescale.studies.compare import Comparison

    if isinstance(found, Comparison):
        return {"weights": weights or "evidence"}
    if weights is not None:
        raise UsageError("--weights averages over the laws of a comparison; this file holds a fit of one law")
    return {}


def doubts(found: Answer, table: pd.DataFrame, average: Mapping[str, Any] | None = None) -> list[str]:
    """What an answer repeats of what the fits that it is made from distrust, and its distance beyond the data."""
    from bayescale.answers.predict import far_beyond
    from bayescale.fit import Fit
    from bayescale.studies.compare import Comparison

    fits = [found] if isinstance(found, Fit) else list(found.fits.values())
    if isinstance(found, Comparison):
        fits = [found.fits[n] for n in found.weights((average or {}).get("weights", "evidence"))]
    of_rows = [w for f in fits for w in f.runs.warnings] if isinstance(found, Comparison) else []
    cautions = [f.law.law.caution for f in fits if f.law.law.caution]
    return list(dict.fromkeys([*found.warnings, *of_rows, *cautions, *far_beyond(table)]))


def print_doubts(sentences: Sequence[str]) -> None:
    """What to distrust, after an answer."""
    from bayescale.text.layout import wrapped

    if sentences:
        click.echo("\n".join(["", "Mind:", *wrapped(sentences)]))


def cost_of(found: Answer, given: str | None = None) -> Cost:
    """What a run costs: as it was given, or as the table of a fit, or of a comparison's fits, counts it."""
    from bayescale.fit import Fit
    from bayescale.runs.cost import cost_from

    return cost_from(given) or (found if isinstance(found, Fit) else next(iter(found.fits.values()))).runs.cost


def law_entry(found: Any, average: dict[str, Any]) -> dict[str, Any]:
    """How JSON names what a prediction is by: a law, or the weights of several."""
    if not average:
        return {"law": found.law.name}
    return {"law": "average", "averaged_by": average["weights"], "weights": found.weights(average["weights"])}


def check_writable(output: str) -> None:
    """Find out before the work, not after it, that a file has no folder."""
    folder = Path(output).parent
    if not folder.is_dir():
        raise UsageError(f"cannot write {output}: there is no folder {str(folder)!r}", code="no_file")


def say(message: str) -> None:
    """A sentence on standard error; what it quotes from data cannot steer the terminal."""
    click.echo(printable(f"bayescale: {message}"), err=True)


def print_json(content: dict[str, Any]) -> None:
    """One JSON object on standard output; what is not a finite number is null."""
    text = json.dumps(_plain(content), allow_nan=False)
    PRINTED.set(True)
    click.echo(text)


def _plain(value: object) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def estimates_by_point(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a tidy table as one dict a point: its inputs and groups, and an estimate for each quantity.

    Where the table has them also the probability that there is such a point, and its distance beyond the data.
    """
    columns = list(table.columns)
    points = columns[: columns.index("quantity")]
    repeats = table.groupby([*points, "quantity"], sort=False, dropna=False).cumcount()
    found = []
    for key, part in table.groupby([repeats, *points], sort=False):
        entry: dict[str, Any] = dict(zip(points, key[1:], strict=True))
        entry |= {row["quantity"]: intervals.as_json(row) for _, row in part.iterrows()}
        if "probability" in columns:
            entry["probability"] = float(part["probability"].min())
        if beyond := [c for c in columns if c.startswith("decades_")]:
            entry["decades_beyond_data"] = {c.removeprefix("decades_"): float(part[c].iloc[0]) for c in beyond}
        found.append(entry)
    return found
