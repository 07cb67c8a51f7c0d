"""What can be compared: laws that answer one question, fitted to the same rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bayescale.errors import UsageError, did_you_mean
from bayescale.law import AnyLaw, Law
from bayescale.posterior.posterior import Posterior
from bayescale.runs import Observations


def same_question(specs: Mapping[str, AnyLaw]) -> None:
    """Refuse laws that predict different things, or from different inputs."""
    first, *rest = specs
    a = specs[first]
    for name in rest:
        b = specs[name]
        if b.metric != a.metric:
            raise UsageError(f"{first} predicts {a.metric} and {name} predicts {b.metric}: they cannot be compared")
        if set(b.inputs) != set(a.inputs):
            raise UsageError(
                f"{first} takes {', '.join(a.inputs)} and {name} takes {', '.join(b.inputs)}: laws of different inputs "
                "cannot be compared; choose laws of the same inputs (`bayescale laws NAME` shows a law's inputs)"
            )


def same_rows(tables: Mapping[str, Observations]) -> None:
    """Refuse tables of different rows, saying which differ; keys are the laws that are fitted to them."""
    if len(tables) < 2:
        return
    first, *rest = tables
    a = tables[first]
    for name in rest:
        b = tables[name]
        if b.rows != a.rows:
            only = [str(x) for x in np.setxor1d(a.labels.astype(str), b.labels.astype(str))[:5]]
            listed = f"{', '.join(only)}{', ...' if len(only) == 5 else ''}"
            raise UsageError(
                f"{first} has {a.rows} rows and {name} {b.rows}"
                f"{f' (rows {listed} are in one of them only)' if only else ''}: evidences of different rows cannot be "
                "compared; fit both to one table"
            )
        columns = {
            a.metric: (a.observed, b.observed),
            **{n: (x, b.inputs[n]) for n, x in a.inputs.items() if n in b.inputs},
        }
        for column, (x, y) in columns.items():
            if (differ := np.flatnonzero(x != y)).size:
                row = differ[0]
                raise UsageError(
                    f"{first} and {name} have different rows: {column} differs in {differ.size} of {a.rows}, "
                    f"first in row {a.labels[row]} ({_shown(x[row])} and {_shown(y[row])}); fit both to one table"
                )
        known = [se for se in (a.se, b.se) if se is not None]
        if len(known) == 1 or (len(known) == 2 and not np.array_equal(known[0], known[1])):
            raise UsageError(f"{first} and {name} have different {a.metric}_se; fit both to one table")


def _shown(value: object) -> str:
    """A cell: a number with the digits that matter, or the text of a schedule."""
    return f"{value:g}" if isinstance(value, int | float | np.number) else repr(str(value))


def centres_apart(fits: Mapping[str, Posterior]) -> list[str]:
    """Says where the priors of fits are stated at different centres, of what they share."""
    first, *rest = fits
    a = fits[first].centre.values
    told = []
    for name in rest:
        b = fits[name].centre.values
        if differ := [n for n in a if n in b and not np.isclose(a[n], b[n], rtol=1e-6)]:
            places = ", ".join(f"{n} {a[n]:.4g} and {b[n]:.4g}" for n in differ)
            told.append(
                f"the priors of {first} and {name} are stated at different centres ({places}), and their evidences "
                "differ by that too"
            )
    return told


def alike(a: Law | type[Law], b: Law | type[Law], but: str = "") -> bool:
    """Whether two laws have one formula and, for every constant except `but`, one prior or number."""
    formulas = [getattr(x if isinstance(x, type) else type(x), x.metric) for x in (a, b)]
    return (
        formulas[0] is formulas[1]
        and set(a.fields) == set(b.fields)
        and all(
            getattr(a, n) is getattr(b, n) or _equal_numbers(getattr(a, n), getattr(b, n)) for n in a.fields if n != but
        )
    )


def _equal_numbers(a: object, b: object) -> bool:
    return isinstance(a, int | float | str) and isinstance(b, int | float | str) and a == b


def check_weights(weights: Mapping[str, float] | None, specs: Mapping[str, AnyLaw]) -> None:
    """Refuse prior weights of unknown laws, and weights that are none."""
    for name, value in (weights or {}).items():
        if name not in specs:
            hint = did_you_mean(name, specs)
            raise UsageError(f"no law of the comparison is called {name!r}{hint}; there are {', '.join(specs)}")
        if not (np.isfinite(value) and value >= 0):
            raise UsageError(f"the prior weight of {name} must be a number from 0 up, not {value}")
