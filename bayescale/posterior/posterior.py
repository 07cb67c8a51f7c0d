"""`Posterior`: what sampling gives, of which every answer is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np
from numpyro.distributions import Distribution

from bayescale.law import Centre, Stated, setting_text
from bayescale.law.prior_text import has_text
from bayescale.law.varying import AnyLaw, scalars
from bayescale.likelihood import Likelihood
from bayescale.posterior.data import Data, data_of
from bayescale.posterior.density import Target, target_of
from bayescale.posterior.samples import Samples
from bayescale.runs import Observations

MOST = 4000
"""Draws that answers are made of at most: more would cost more time than they take off the Monte Carlo error."""


@dataclass(frozen=True, eq=False)
class Posterior:
    """A law's posterior given a table of runs.

    Attributes
    ----------
    law : Law or Varying
        As it was fitted, with its priors.
    likelihood : Likelihood
    runs : Observations
        The rows that were fitted.
    centre : Centre
        Where the priors are stated.
    samples : Samples
        Draws, diagnostics and how they came about.
    seed : int
    seconds : dict
        Wall time of the fit: 'total' and 'sampling'.
    centre_given : bool
        Whether the centre is one that was asked for, and not the rows' own: fits of some of the rows then keep it.
    """

    law: AnyLaw
    likelihood: Likelihood
    runs: Observations
    centre: Centre
    samples: Samples
    seed: int
    seconds: Mapping[str, float] = field(default_factory=dict)
    centre_given: bool = False

    @property
    def converged(self) -> bool:
        """Whether the draws passed every check; if not, `failures` says why and they are no answer."""
        return not self.samples.failures

    @property
    def failures(self) -> tuple[str, ...]:
        """Why the draws are not to be trusted, a sentence each."""
        return self.samples.failures

    @property
    def unwritable(self) -> str:
        """Why it cannot be written to a file, or ''; it can still be looked at."""
        own = type(self.law.law)
        given = {n: v for n, v in self.law.items() if v is not getattr(own, n, None)}
        given |= {f.name: getattr(self.likelihood, f.name) for f in fields(self.likelihood)}
        for name, value in given.items():
            if isinstance(value, Stated) or (isinstance(value, Distribution) and not has_text(value)):
                text = setting_text(value)
                return f"the prior of {name}, {text}, has no text that makes it again: declare it in a law of your own"
        return ""

    @property
    def constants(self) -> dict[str, np.ndarray]:
        """Draws of the law's and the noise's constants one by one, shape (chain, draw) each; of groups ``E[c4]``."""
        return scalars(self.law, self.samples.constants)

    @cached_property
    def target(self) -> Target:
        """The posterior as a density, with its compiled programs."""
        return target_of(self.law, self.likelihood)

    @cached_property
    def padded(self) -> Data:
        """The rows as the compiled programs read them."""
        return data_of(self.runs, self.centre, self.law.metric, self.likelihood)

    def flat(self) -> dict[str, np.ndarray]:
        """Every draw of each constant, chains joined, shape (draw,); of those of groups, (draw, group)."""
        return {n: x.reshape(-1, *x.shape[2:]) for n, x in self.samples.constants.items()}

    def thinned(self, most: int = MOST) -> dict[str, np.ndarray]:
        """Every draw of each constant, `most` evenly spaced ones where there are more; chains joined, as `flat`."""
        flat = self.flat()
        total = len(next(iter(flat.values())))
        kept = min(most, total)
        rows = np.arange(kept) * total // kept
        return {n: x[rows] for n, x in flat.items()}
