"""Recipes held against each other, groups of one pooled fit or two fits: what they share, and where they ran."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayescale.answers.needed import single_input
from bayescale.answers.optimum import Deployment, Term, deployment_for
from bayescale.errors import UsageError, did_you_mean, in_words
from bayescale.fit import Fit
from bayescale.law import Law
from bayescale.law.fields import UNSEEN
from bayescale.law.groups import asked_about
from bayescale.law.labels import coded
from bayescale.runs.columns import listed

OVERLAP = 0.5
"""Share of two ranges, on a log scale, that they have in common, below which a warning says that they differ."""
NEW, OLD = "new", "old"
"""What the recipes of two fits are called."""


@dataclass(frozen=True, eq=False)
class Recipe:
    """A recipe: the fit that tells of it, and what is held of that, its own group among others.

    Attributes
    ----------
    name : str
    fit : Fit
    terms : mapping
        As `allocate` takes them.
    rows : ndarray of bool, shape (row,)
        Which of the fit's rows are its own.
    column : str
        That tells it from others of its fit.
    """

    name: str
    fit: Fit
    terms: Mapping[str, Term]
    rows: np.ndarray
    column: str = ""

    @property
    def deployment(self) -> Deployment:
        """What it trains with compute; refuses a law by which compute does not split between N and D."""
        return deployment_for(self.fit.law, self.terms, self.fit.runs.cost)

    def seen(self, name: str) -> Any:
        """An input of its rows, or their compute."""
        inputs = {n: x[self.rows] for n, x in self.fit.runs.inputs.items()}
        return inputs[name] if name in inputs else self.deployment.training.flops(inputs["N"], inputs["D"])


def recipes_of_one(
    fit: Fit, by: str | None, of: object, over: object, terms: Mapping[str, Term]
) -> tuple[list[Recipe], Recipe, list[Recipe]]:
    """The recipes asked about, the one they are held against, and all there are, of a fit pooled by recipe."""
    column = _column(fit, by)
    labels = fit.law.columns[column]
    several = of if isinstance(of, Iterable) and not isinstance(of, str) else [of]
    names = [_label(fit, column, x) for x in several if x is not None]
    if over is None:
        rest = [x for x in labels if x not in names]
        if not names or len(rest) != 1:
            raise UsageError(
                f"name the {column} that others are held against: {in_words('over=...', '--over')}, of {listed(labels)}"
            )
        base = rest[0]
    else:
        base = _label(fit, column, over)
    names = names or [x for x in labels if x != base]
    if base in names:
        raise UsageError(
            f"of and over are both {column} {base!r}; a recipe is held against another, of {listed(labels)}"
        )
    found = {x: _recipe(x, fit, {**terms, column: x}, column) for x in labels}
    return [found[x] for x in dict.fromkeys(names)], found[base], list(found.values())


def recipes_of_two(new: Fit, old: Fit, by: object, of: object, terms: Mapping[str, Term]) -> tuple[Recipe, Recipe]:
    """The recipes of two fits; refuses fits that do not predict the same, or count FLOPs differently."""
    if by is not None or of is not None:
        raise UsageError(
            "by and of name recipes of one fit that is pooled by them; of two fits the first is new, and over is old"
        )
    recipes = []
    for name, fit, other in ((NEW, new, old), (OLD, old, new)):
        only_others = {*other.law.inputs, *other.law.columns} - {*fit.law.inputs, *fit.law.columns}
        held = {n: x for n, x in terms.items() if n not in only_others}
        recipes.append(_recipe(name, fit, held))
    if new.law.metric != old.law.metric or single_input(new.law) != single_input(old.law):
        raise UsageError(
            f"law {new.law.name} predicts {new.law.metric} from {', '.join(new.law.inputs)} and law {old.law.name} "
            f"{old.law.metric} from {', '.join(old.law.inputs)}: recipes are held against each other by the same "
            "metric and scale"
        )
    counts = [f.runs.cost for f in (new, old)]
    if "cost" not in terms and not single_input(new.law) and len({(c.k, c.a, c.b) for c in counts}) > 1:
        raise UsageError(
            f"the two tables count FLOPs differently, {counts[0].text} and {counts[1].text}: say what a run costs, "
            + in_words("cost='6*N*D'", "--cost '6*N*D'")
        )
    return recipes[0], recipes[1]


def _recipe(name: str, fit: Fit, terms: Mapping[str, Term], column: str = "") -> Recipe:
    """A recipe with the rows of its groups; refuses a fit with groups that are left open."""
    _, codes = coded(fit.law, terms)
    for c in asked_about(fit.law, fit.runs.inputs):
        if c not in codes or codes[c].size != 1:
            raise UsageError(
                f"the fit is pooled by {c}: name one, {in_words(f'{c}=...', f'--at {c}=...')}, of "
                f"{listed(fit.law.columns[c])}"
            )
    rows = np.full(fit.runs.rows, True)
    for c, code in codes.items():
        if code.size == 1 and code.item() <= len(fit.law.columns[c]):
            rows &= fit.runs.inputs[c] == code.item()
    return Recipe(name, fit, terms, rows, column)


def _column(fit: Fit, by: str | None) -> str:
    """The column of recipes: constants vary by it."""
    columns = fit.law.columns
    if not columns:
        raise UsageError(
            "this fit tells no recipes apart: fit with "
            + in_words("pool={'recipe': ['A', 'B']}", "--pool recipe=A,B")
            + ", or give a second fit, of the old recipe"
        )
    telling = [c for c in columns if set(fit.law.varied(c)) != {fit.law.metric}]
    if by is None and len(telling) == 1:
        return telling[0]
    if by is None and telling:
        raise UsageError(f"say which column tells recipes apart: {in_words('by=...', '--by')}, of {listed(telling)}")
    if by is not None and by not in columns:
        raise UsageError(
            f"the fit is not pooled by {by!r}{did_you_mean(by, columns)}; it is by {listed(list(columns))}"
        )
    if by is None or by not in telling:
        column = by or next(iter(columns))
        raise UsageError(
            f"{column} has effects on {fit.law.metric} and no constants of its own, so that it tells runs apart and no "
            "recipes: pool constants by recipe, " + in_words("pool={'recipe': ['A', 'B']}", "--pool recipe=A,B")
        )
    return by


def _label(fit: Fit, column: str, name: object) -> str:
    """A recipe's name as the table has it."""
    labels = fit.law.columns[column]
    _, codes = coded(fit.law, {column: str(name)})
    code = int(codes[column].item())
    if code > len(labels):
        raise UsageError(f"{UNSEEN!r} is no {column} that was tried; the fit has {listed(labels)}")
    return labels[code - 1]


def basis(of: Recipe, over: Recipe) -> str:
    """What two recipes share."""
    law, column = of.fit.law, of.column
    if isinstance(law, Law) or not column:
        return "two fits, draws paired at random: the recipes share no constant, so that no error of theirs cancels"
    varied = law.varied(column)
    own = [m for n in varied if n != law.metric for m in (n, *law.followers(n))]
    shared = [n for n in law.law.fields if n not in own]
    factor = " and a factor on the law" * (law.metric in varied)
    return f"joint draws of one fit: {column} has its own {', '.join(own)}{factor}; " + (
        f"{', '.join(shared)} are shared" if shared else "no constant is shared"
    )


def different_ranges(of: Recipe, over: Recipe, names: Sequence[str]) -> list[str]:
    """Says where two recipes were tried in ranges that have less than half in common."""
    told = []
    for name in names:
        a, b = (np.log10(r.seen(name)) for r in (of, over))
        common = min(a.max(), b.max()) - max(a.min(), b.min())
        whole = max(a.max(), b.max()) - min(a.min(), b.min())
        if whole > 0 and common < OVERLAP * whole:
            spans = (f"{10 ** x.min():.2g} to {10 ** x.max():.2g}" for x in (a, b))
            told.append(f"{name} ({' and '.join(spans)})")
    if not told:
        return []
    return [
        f"{of.name} and {over.name} were tried in different ranges of {', '.join(told)}: that the law bridges them is "
        "assumed"
    ]
