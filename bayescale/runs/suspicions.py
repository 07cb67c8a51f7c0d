"""What looks wrong in a table that can be read: units, budgets, repeats, metrics that are no losses, dead runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

import numpy as np
import pandas as pd

from bayescale.errors import in_words
from bayescale.runs.numbers import Array

Where = Callable[[int], str]

CLUELESS = float(np.log(32_000))
"""The loss, in nats a token, of a model that knows nothing of the smallest of today's usual vocabularies."""
PERPLEXITIES = 20.0  # nats: more than any vocabulary's logarithm
DIVERGED = 1.3  # of a run's lowest loss, or of a smaller model's on less data
DEAD = 4  # rows of one loss in a row
COMPARED = 1500  # rows that are held against each other at most
SHOWN = 3  # runs that a sentence names


def suspicions(runs: Mapping[str, Array], where: Where, labels: Mapping[str, str]) -> list[str]:
    """Say what looks wrong in a table's standard columns, which the table calls by `labels`, a sentence each."""
    found = [*_counts(runs, where, labels), *_repeats(runs, where)]
    if "loss" in runs:
        found += _losses(runs["loss"], where)
        found += _diverged(runs, where)
    return found


def _counts(runs: Mapping[str, Array], where: Where, labels: Mapping[str, str]) -> Iterator[str]:
    if "N" in runs and (low := runs["N"] < 1e3).any():
        row = int(np.argmin(runs["N"]))
        yield (
            f"N is below 1e3 in {low.sum()} rows (least {runs['N'][row]:g}, {where(row)}): are "
            f"these billions? N counts parameters{_times('N', labels)}"
        )
    if "N" in runs and (high := runs["N"] > 1e14).any():
        row = int(np.argmax(runs["N"]))
        yield f"N is above 1e14 in {high.sum()} rows ({where(row)}: {runs['N'][row]:g}): was a unit applied twice?"
    if "D" in runs and runs.keys() & {"N", "loss"} and runs["D"].max() < 1e6:  # rows of a task may be few
        yield (
            f"D looks like it is in millions or billions of tokens (greatest {runs['D'].max():g}): D counts tokens"
            f"{_times('D', labels)}"
        )
    if "D" in runs and (high := runs["D"] > 1e16).any():
        row = int(np.argmax(runs["D"]))
        yield f"D is above 1e16 in {high.sum()} rows ({where(row)}: {runs['D'][row]:g}): was a unit applied twice?"
    if {"N", "D", "C"} <= runs.keys():
        ratio = np.log(runs["C"]) - np.log(6) - np.log(runs["N"]) - np.log(runs["D"])
        if (off := np.abs(ratio) > np.log(2) + 1e-9).any():
            row = int(np.argmax(np.abs(ratio)))
            yield (
                f"C differs from 6ND by more than a factor 2 in {off.sum()} rows "
                f"(worst {where(row)}, C/(6ND) = {np.exp(ratio[row]):.3g})"
            )


def _repeats(runs: Mapping[str, Array], where: Where) -> Iterator[str]:
    if (repeated := pd.DataFrame(dict(runs)).duplicated().to_numpy()).any():
        row = int(np.argmax(repeated))
        yield f"{repeated.sum()} rows repeat an earlier row exactly (first {where(row)})"


def _losses(loss: Array, where: Where) -> Iterator[str]:
    if (high := loss > PERPLEXITIES).any():
        yield (
            f"loss is above 20 in {high.sum()} rows (first {where(int(np.argmax(high)))}): is "
            "this perplexity? loss is in nats per token"
        )
    elif (high := loss > CLUELESS).any():
        row = int(np.argmax(high))
        yield (
            f"loss is {loss[row]:.4g} at {where(row)}{_and_more(high)}, above log V = {CLUELESS:.3g} of 32 000 tokens: "
            "a model that has learned nothing, at its start-up or after it diverged; no law holds there"
        )
    if (loss < 0.05).all():
        yield f"every loss is below 0.05 (greatest {loss.max():g}): loss is in nats per token"
    if len(loss) >= DEAD and np.ptp(loss) == 0:
        yield f"loss is {loss[0]:g} in every row: runs that learn nothing, or a column that is no loss"


def _diverged(runs: Mapping[str, Array], where: Where) -> Iterator[str]:
    """Runs whose loss rose again or stood still, and rows far above a smaller model's on less data."""
    loss = runs["loss"]
    if np.ptp(loss) == 0:
        return
    if "run" in runs:
        along = next((n for n in ("S", "D", "C") if n in runs and not np.isnan(runs[n]).any()), None)
        risen, dead = [], []
        for run, rows in pd.Series(range(len(loss))).groupby(np.asarray(runs["run"])):
            at = rows.to_numpy()
            at = at[np.argsort(runs[along][at], kind="stable")] if along else at
            if len(at) >= DEAD and loss[at[-1]] > DIVERGED * loss[at].min():
                risen.append(f"{run} (from {loss[at].min():.4g} to {loss[at[-1]]:.4g})")
            if len(at) >= DEAD and along and np.ptp(runs[along][at]) > 0 and np.ptp(loss[at]) == 0:
                dead.append(f"{run} (from {where(int(at[0]))})")
        if risen:
            yield f"the loss of {_some(risen)} rose again: diverged? Their last rows are no result of their size"
        if dead:
            yield f"the loss of {_some(dead)} never moves: a dead run"
        if risen or dead:
            return
    if {"N", "D"} <= runs.keys() and 4 <= len(loss) <= COMPARED:
        N, D = runs["N"], runs["D"]
        inside = (N[None] <= N[:, None]) & (D[None] <= D[:, None])
        least = np.where(inside, loss[None], np.inf).min(axis=1)
        if 0 < (odd := loss > DIVERGED * least).sum() <= len(loss) / 3:
            high = [int(i) for i in np.flatnonzero(odd)]
            shown = [f"{where(i)} ({loss[i]:.4g}, against {least[i]:.4g})" for i in islice(high, SHOWN)]
            yield (
                f"the loss of {_some(shown, len(high))} is far above that of a smaller model on less data: diverged? "
                "Leave such rows out, or keep them and let the tails of the noise bear them"
            )


def _times(name: str, labels: Mapping[str, str]) -> str:
    """How a column in billions is read."""
    if name not in labels:
        return ""
    scaled = f"{labels[name]}*1e9"
    return " (" + in_words(f"columns={{{name!r}: {scaled!r}}}", f"--column '{name}={scaled}'") + " multiplies)"


def _and_more(high: np.ndarray) -> str:
    return f" and {high.sum() - 1} more rows" if high.sum() > 1 else ""


def _some(names: list[str], count: int = 0) -> str:
    count = count or len(names)
    more = f" and {count - SHOWN} more" if count > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
