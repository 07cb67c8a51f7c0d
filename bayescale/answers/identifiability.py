"""What the rows tell of each constant beyond its prior, and where the two disagree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayescale.posterior.posterior import Posterior

BARELY, NOT = 0.7, 0.9
"""Posterior sd over prior sd above which the rows hardly determine a constant, or not at all."""

CONFLICT = 3.0
"""Prior sds between the means of posterior and prior above which the two are in conflict."""

PULL = 0.5
"""Posterior sds by which squaring the prior's density may move a mean before it is said to hang on the prior."""


@dataclass(frozen=True)
class Identifiability:
    """What the rows tell of a law's constants.

    Attributes
    ----------
    table : DataFrame
        Index: the law's free constants. Columns, all of the coordinate in which the constant's prior is stated:
        contraction, 1 - (posterior sd / prior sd)^2, which is 0 where the rows say nothing and 1 where the prior
        does not matter; distance, prior sds between the means of posterior and prior; pull, posterior sds by which
        the mean moves when the prior's density is squared.
    rank : float
        Effective number of combinations of the constants that the rows determine, at most `len(table)`: the sum of
        the contractions along the principal directions of posterior against prior.
    spreads : tuple of str
        Those among them that are spreads between groups: one near zero is an answer, of which nothing is said.
    """

    table: pd.DataFrame
    rank: float
    spreads: tuple[str, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """What a reader should know, a sentence each."""
        told = []
        of_law = self.table.drop(index=list(self.spreads))
        for name, row in of_law.iterrows():
            ratio = float(np.sqrt(1 - min(row.contraction, 1.0)))
            if ratio > BARELY:
                how = (
                    "its posterior is its prior"
                    if ratio > NOT
                    else f"its posterior is {ratio:.0%} as wide as its prior"
                )
                told.append(f"these data hardly determine {name}: {how}")
            if row.distance > CONFLICT:
                told.append(
                    f"prior and data disagree on {name}: its posterior lies {row.distance:.1f} prior sds from the "
                    "prior's mean; check the units, or give it another prior"
                )
        pulled = of_law[(of_law["pull"].abs() > PULL) & (of_law["contraction"] > 1 - BARELY**2)]
        if len(pulled):
            names = ", ".join(f"{n} by {abs(p):.1f}" for n, p in pulled["pull"].items())
            told.append(f"these hang on their priors: squaring the priors' density moves {names} posterior sds")
        return tuple(told)


def identifiability(fit: Posterior) -> Identifiability:
    """What the rows tell of each constant beyond its prior.

    The prior is taken as normal with the moments of its draws in the unconstrained coordinates in which it is
    stated, so that no density has to be evaluated: most priors are normal there. The pull is the derivative of the
    posterior mean along Kallioinen et al. 2024's power-scaling (arXiv:2107.14054), exact for small powers.

    Parameters
    ----------
    fit : Posterior

    Returns
    -------
    Identifiability
    """
    names: list[str] = []
    columns: list[int] = []
    start = 0
    for site, (_, size) in fit.target.sites.items():
        constant = site.removesuffix("_stated")
        if constant in fit.law.fields and constant not in fit.law.vectors:
            names += [constant] if size == 1 else [f"{constant}[{i}]" for i in range(size)]
            columns += range(start, start + size)
        start += size
    z, prior = fit.samples.z.reshape(-1, start)[:, columns], fit.samples.prior[:, columns]
    mean, sd = prior.mean(axis=0), prior.std(axis=0)
    precision = np.linalg.inv(np.atleast_2d(np.cov(prior.T)))
    log_prior = -0.5 * np.einsum("ki,ij,kj->k", z - mean, precision, z - mean)
    spread = z.std(axis=0)
    table = pd.DataFrame(
        {
            "contraction": 1 - (spread / sd) ** 2,
            "distance": np.abs(z.mean(axis=0) - mean) / sd,
            "pull": (log_prior - log_prior.mean()) @ (z - z.mean(axis=0)) / len(z) / spread,
        },
        index=pd.Index(names, name="constant"),
    )
    whitening = np.linalg.cholesky(precision)
    left_open = np.linalg.eigvalsh(whitening.T @ np.atleast_2d(np.cov(z.T)) @ whitening)
    spreads = tuple(n for n in names if n in {f.scale for f in fit.law.latent})
    return Identifiability(table, float(np.clip(1 - left_open, 0, 1).sum()), spreads)
