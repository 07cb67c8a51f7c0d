"""Learning-rate schedules: text that a table's cell holds, and what a law reads of one at a step.

A schedule is written as knots STEP:RATE joined by lines, or by a half cosine or an exponential where the word stands
before the later knot: ``0:0 2000:3e-4 20000:3e-4 exp 24000:3e-5`` warms up, holds, and decays. Two knots at one step
are a jump; before the first knot and after the last the rate stays.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayescale.errors import UsageError

SHAPES = ("linear", "cosine", "exp")
NODES = 48
"""Numbers by which a law sums over the changes of a schedule; `Path` has so many rows."""

FINE = 512
"""Points of each piece on which the area under a rate that moves is found."""

DENSE = 3.0
"""Nodes gather at the end of a change, where what it does is still under way, as a power of the distance."""

EXAMPLE = "0:0 2000:3e-4 20000:3e-4 exp 24000:3e-5"


@dataclass(frozen=True)
class Schedule:
    """A learning rate at every step.

    Attributes
    ----------
    steps : tuple of float, shape (knot,)
        Not decreasing, from 0 up.
    rates : tuple of float, shape (knot,)
        Not negative, and not all zero.
    shapes : tuple of str, shape (knot,)
        How each knot is reached from the one before: 'linear', 'cosine' or 'exp'.
    """

    steps: tuple[float, ...]
    rates: tuple[float, ...]
    shapes: tuple[str, ...]

    @property
    def peak(self) -> float:
        """The highest rate."""
        return max(self.rates)

    def rate(self, step: Any) -> np.ndarray:
        """The rate at steps of any shape; at a jump, the rate after it."""
        step = np.asarray(step, dtype=float)
        found = np.full(step.shape, self.rates[0])
        for i in range(1, len(self.steps)):
            inside = step >= self.steps[i - 1]
            share = np.clip((step - self.steps[i - 1]) / max(self.steps[i] - self.steps[i - 1], 1e-300), 0.0, 1.0)
            found = np.where(inside, _between(self.shapes[i], self.rates[i - 1], self.rates[i], share), found)
        return np.where(step >= self.steps[-1], self.rates[-1], found)

    def area(self, step: Any) -> np.ndarray:
        """Sum of the rates up to steps of any shape."""
        at, total = _areas(self)
        step = np.asarray(step, dtype=float)
        beyond = np.maximum(step - at[-1], 0.0) * self.rates[-1]
        return np.asarray(np.interp(step, at, total) + beyond)

    def __str__(self) -> str:
        knots = []
        for shape, step, rate in zip(self.shapes, self.steps, self.rates, strict=True):
            knots += [] if shape == "linear" else [shape]
            knots.append(f"{step:g}:{rate:.10g}")
        return " ".join(knots)


def _between(shape: str, before: float, after: float, share: Any) -> Any:
    if shape == "cosine":
        return after + (before - after) * (1 + np.cos(np.pi * share)) / 2
    if shape == "exp":
        return before * (after / before) ** share
    return before + (after - before) * share


@functools.lru_cache(maxsize=4096)
def _areas(schedule: Schedule) -> tuple[np.ndarray, np.ndarray]:
    """Steps, many where the rate moves, and the sum of rates up to each."""
    pieces = [np.array([0.0, schedule.steps[0]])]
    for i in range(1, len(schedule.steps)):
        count = 2 if schedule.rates[i - 1] == schedule.rates[i] else FINE
        pieces.append(np.linspace(schedule.steps[i - 1], schedule.steps[i], count))
    rates = [np.full(2, schedule.rates[0])]
    for i in range(1, len(schedule.steps)):
        share = np.linspace(0, 1, len(pieces[i]))
        rates.append(_between(schedule.shapes[i], schedule.rates[i - 1], schedule.rates[i], share))
    at, rate = np.concatenate(pieces), np.concatenate(rates)
    return at, np.concatenate([[0.0], np.cumsum(np.diff(at) * (rate[1:] + rate[:-1]) / 2)])


@functools.lru_cache(maxsize=4096)
def schedule_from(text: str) -> Schedule:
    """A schedule from its text; see the head of this module.

    Raises
    ------
    UsageError
        The text is none; the message names the knot.
    """
    steps: list[float] = []
    rates: list[float] = []
    shapes: list[str] = []
    shape = "linear"

    def refuse(what: str) -> UsageError:
        return UsageError(
            f"schedule {text[:80]!r}: {what}; a schedule is knots STEP:RATE, each later one reached by a line or, with "
            f"the word before it, by {' or '.join(SHAPES[1:])}, such as {EXAMPLE!r}"
        )

    for word in str(text).split():
        if word in SHAPES:
            shape = word
            continue
        step, colon, rate = word.partition(":")
        try:
            steps.append(float(step))
            rates.append(float(rate))
        except ValueError:
            raise refuse(f"{word!r} is no knot" if colon else f"{word!r} is neither a knot nor a shape") from None
        if not (np.isfinite(steps[-1]) and np.isfinite(rates[-1]) and steps[-1] >= 0 and rates[-1] >= 0):
            raise refuse(f"{word!r} has a negative or infinite number")
        if len(steps) > 1 and steps[-1] < steps[-2]:
            raise refuse(f"{word!r} comes after step {steps[-2]:g}")
        if shape == "exp" and (len(rates) < 2 or min(rates[-2:]) == 0):
            raise refuse(f"{word!r} is reached by exp, which needs positive rates at both ends")
        shapes.append(shape)
        shape = "linear"
    if not steps:
        raise refuse("it has no knots")
    if not any(rates):
        raise refuse("its rate is zero throughout")
    return Schedule(tuple(steps), tuple(rates), tuple(shapes))


def path(schedule: Schedule, step: float) -> np.ndarray:
    """What a law reads of a schedule at a step, shape (`NODES`, 4).

    Each row is a change of the rate before the step: by how much it fell, the rate after it, the sum of the rates
    since, and the step at which it was. The first row is the beginning: it falls by nothing, and its sum is that of all
    rates. Continuous changes are cut into pieces that gather towards their end.
    """
    stretches = _changes(schedule, step)
    found = np.zeros((NODES, 4))
    total = float(schedule.area(step))
    found[:, 1], found[0, 2] = schedule.peak, total
    smooth = sum(end > start for start, end in stretches)
    each = (NODES - 1 - (len(stretches) - smooth)) // max(smooth, 1)
    row = 1
    for start, end in stretches:
        if end > start:
            edges = end - (end - start) * np.linspace(1, 0, each + 1) ** DENSE
            rate = schedule.rate(edges)
            if any(s == end for s in schedule.steps):  # before a jump at the end
                rate[-1] = _before(schedule, end)
            middle = (edges[1:] + edges[:-1]) / 2
            some = np.stack(
                [rate[:-1] - rate[1:], schedule.rate(middle), total - schedule.area(middle), middle], axis=1
            )
        else:  # the step of a jump is made at the rate after it
            after = float(schedule.rate(end))
            since = total - float(schedule.area(end)) + after
            some = np.array([[_before(schedule, end) - after, after, since, end - 1]])
        found[row : row + len(some)] = some
        row += len(some)
    # a rate of zero has no finite power
    found[:, 1] = np.maximum(found[:, 1], 1e-6 * schedule.peak)
    return found


def _before(schedule: Schedule, step: float) -> float:
    """The rate just before a knot's step; before the first step there is none."""
    return schedule.rates[schedule.steps.index(step)] if step else 0.0


def _changes(schedule: Schedule, step: float) -> list[tuple[float, float]]:
    """Stretches up to a step in which the rate changes without pause, and jumps, which have no length."""
    found: list[tuple[float, float]] = [(0.0, 0.0)] if schedule.rates[0] or schedule.steps[0] else []
    for i in range(1, len(schedule.steps)):
        start, end = schedule.steps[i - 1], min(schedule.steps[i], step)
        if start > step or (start == end and schedule.steps[i] > step):
            break
        if schedule.rates[i] == schedule.rates[i - 1]:
            continue
        if found and start < end and found[-1][1] == start and found[-1][0] < start:
            found[-1] = (found[-1][0], end)
        elif not found or found[-1] != (start, end):
            found.append((start, end))
    if len(found) > NODES // 4:
        raise UsageError(
            f"schedule {str(schedule)[:80]!r} changes in {len(found)} separate stretches by step {step:g}; at most "
            f"{NODES // 4} are summed over"
        )
    return found


def checked_schedules(values: Any) -> np.ndarray:
    """Texts of schedules, or `Schedule`s, as an array of texts that can be read.

    Raises
    ------
    UsageError
        One is no schedule.
    """
    texts = np.asarray(values, dtype=object)
    found = np.array([str(x) for x in texts.ravel()], dtype=object).reshape(texts.shape)
    for text in set(found.ravel().tolist()):
        schedule_from(text)
    return found


def paths(steps: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """The `path` of each row, shape (row, NODES, 4)."""
    return np.stack([_path(str(t), float(s)) for s, t in zip(steps, texts, strict=True)])


@functools.lru_cache(maxsize=20_000)
def _path(text: str, step: float) -> np.ndarray:
    return path(schedule_from(text), step)


def peaks(texts: np.ndarray) -> np.ndarray:
    """The highest rate of each schedule, shape (row,)."""
    return np.array([schedule_from(str(t)).peak for t in texts])
