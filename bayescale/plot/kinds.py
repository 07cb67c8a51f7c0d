"""Which kinds of plot a law has."""

from __future__ import annotations

from bayescale.answers.optimum import deployment_for
from bayescale.errors import UsageError
from bayescale.law import AnyLaw
from bayescale.runs.features import numeric

DIAGNOSTICS = ("trace", "rank", "ess", "autocorrelation")
"""Kinds that show the draws themselves, and so make sense of a fit that has not converged."""

OF_ANY_FIT = ("loss", "residuals", "priors", "pair", "predictive", *DIAGNOSTICS)


def kinds_of(law: AnyLaw) -> tuple[str, ...]:
    """The kinds of plot that a fit of a law has."""
    of_two = ("surface",) if len(law.inputs) > 1 and numeric(law.inputs) else ()
    return (*(("isoflop", "allocation") if has_allocation(law) else ()), *of_two, *OF_ANY_FIT)


def has_allocation(law: AnyLaw) -> bool:
    """Whether compute splits between N and D by a law, its other inputs held."""
    further = {n: 1.0 for n in law.inputs if n not in ("N", "D")}
    try:
        deployment_for(law, further)
    except UsageError:
        return False
    return True


def refused(law: AnyLaw, why: str) -> UsageError:
    """The error for a plot that a law does not have, with those that it has."""
    return UsageError(f"{why}; the plots of {law.name} are {', '.join(kinds_of(law))}")
