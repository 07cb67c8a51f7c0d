"""Which rows of a fit's summary are its groups', and what is said of groups too many to list."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayescale.law.pool import Pooled
from bayescale.posterior.posterior import Posterior

SHOWN = 8
"""Groups of a column that a printed fit lists one by one."""


class GroupRows(NamedTuple):
    """How a fit's summary is shown where it has rows of groups.

    Attributes
    ----------
    names : set of str
        Rows of groups, shown after those of the population.
    hidden : set of str
        Those among them that are too many to be shown one by one.
    sentences : list of str
        What is said of these instead.
    """

    names: set[str]
    hidden: set[str]
    sentences: list[str]


def groups_rows(fit: Posterior) -> GroupRows:
    """How the summary of a fit is shown; of a column with more than `SHOWN` groups, what their medians span."""
    found = GroupRows(set(), set(), [])
    for grouping in fit.law.groupings if isinstance(fit.law, Pooled) else ():
        ends = tuple(f"[{m}]" for m in grouping.members)
        constants = [n for n in fit.constants if n.endswith(ends)]
        derived = [f"{q}{end}" for q in type(fit.law).quantities() for end in ends]
        found.names.update(constants, derived)
        if len(grouping.labels) <= SHOWN:
            continue
        found.hidden.update(n for n in (*constants, *derived) if not n.endswith(ends[-1]))
        for constant in dict.fromkeys(n[: n.index("[")] for n in constants):
            medians = [float(np.median(fit.constants[f"{constant}{end}"])) for end in ends[:-1]]
            low, high = int(np.argmin(medians)), int(np.argmax(medians))
            found.sentences.append(
                f"{constant} of {len(medians)} groups by {grouping.column}: medians from {medians[low]:.4g} "
                f"({grouping.labels[low]}) to {medians[high]:.4g} ({grouping.labels[high]}); summary() lists them."
            )
    return found
