"""Which rows of a fit's summary are its groups', and what is said of groups too many to list."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bayescale.law.varying import member_name
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
    law = fit.law
    for column, labels in law.columns.items():
        of_column = {n: f for n, f in law.vectors.items() if f.separate == column}
        members = next(iter(of_column.values())).members
        names = {n: [member_name(n, f, m) for m in members] for n, f in of_column.items()}
        derived = [[f"{q}[{m}]" for m in members] for q in law.quantities()]
        found.names.update(*names.values(), *derived)
        if len(labels) <= SHOWN:
            continue
        found.hidden.update(*(group[:-1] for group in (*names.values(), *derived)))
        for n in of_column:
            medians = np.median(fit.samples.constants[n], axis=(0, 1))[:-1]
            low, high = int(np.argmin(medians)), int(np.argmax(medians))
            found.sentences.append(
                f"{n.removesuffix(f' by {column}')} of {len(medians)} groups by {column}: medians from "
                f"{medians[low]:.4g} ({labels[low]}) to {medians[high]:.4g} ({labels[high]}); summary() lists them."
            )
    return found
