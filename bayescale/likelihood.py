"""How an observed metric scatters about its law: on the log scale, with learned scale and tails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import log
from typing import Any, ClassVar, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax import lax, random
from numpyro.distributions import Distribution, constraints
from numpyro.distributions.util import validate_sample
from numpyro.util import is_prng_key

from bayescale.arrays import Values
from bayescale.errors import UsageError, did_you_mean
from bayescale.law.prior_text import distribution_text, positive_setting


class Rows(Protocol):
    """What a likelihood reads of a table: `bayescale.posterior.data.Data` says what is what."""

    @property
    def observed(self) -> np.ndarray:
        """The metric."""

    @property
    def log_se(self) -> np.ndarray | None:
        """Standard errors of its log."""

    @property
    def before(self) -> np.ndarray | None:
        """The row before each in its run."""

    @property
    def gap(self) -> np.ndarray | None:
        """How far that is, in log steps."""


class Scatter(Distribution):  # type: ignore[misc]
    """The distribution of a metric whose log is `log_mean` plus `scale` times a standard residual.

    Densities are on the metric's own scale (the Jacobian 1/value is included), so that laws that
    predict the same metric can be compared.

    Parameters
    ----------
    log_mean, scale : array_like
        Log of the law and scale of the residual; they broadcast.
    tails : float or {'normal', 'laplace'}
        Degrees of freedom of a Student-t residual, or another residual's name.
    """

    support = constraints.positive
    reparametrized_params: ClassVar[list[str]] = ["log_mean", "scale"]

    def __init__(
        self, log_mean: Values, scale: Values, tails: Values | str, *, validate_args: bool | None = None
    ) -> None:
        self.log_mean, self.scale, self.tails = log_mean, scale, tails
        shape = lax.broadcast_shapes(jnp.shape(log_mean), jnp.shape(scale))
        super().__init__(batch_shape=shape, validate_args=validate_args)

    @validate_sample  # type: ignore[untyped-decorator]
    def log_prob(self, value: Values) -> Any:
        """Log density of the metric's `value`."""
        log_value = jnp.log(value)
        r = (log_value - self.log_mean) / self.scale
        if isinstance(self.tails, str):
            residual = -0.5 * (r * r + log(2 * jnp.pi)) if self.tails == "normal" else -jnp.abs(r) - log(2.0)
        else:
            # tails and scale are usually single numbers: their normaliser is then computed once, not per row
            nu = self.tails
            normaliser = lax.lgamma((nu + 1) / 2) - lax.lgamma(nu / 2) - 0.5 * jnp.log(nu * jnp.pi)
            residual = normaliser - (nu + 1) / 2 * jnp.log1p(r * r / nu)
        return residual - jnp.log(self.scale) - log_value

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> Any:
        """Draw values of the metric."""
        assert is_prng_key(key)
        shape = sample_shape + self.batch_shape
        if not isinstance(self.tails, str):
            # Bailey 1994's polar method: exact, and without JAX's slow gamma draws
            u, v = random.uniform(key, (2, *shape), float, minval=np.finfo(float).tiny)
            r = jnp.sqrt(self.tails * jnp.expm1(-2 / self.tails * jnp.log(u))) * jnp.cos(2 * jnp.pi * v)
        elif self.tails == "normal":
            r = random.normal(key, shape, dtype=float)
        else:
            r = random.laplace(key, shape, dtype=float)
        return jnp.exp(self.log_mean + self.scale * r)


@dataclass(frozen=True, eq=False)
class Likelihood:
    """Base of the likelihoods: fields are priors of the noise constants, or numbers to pin them.

    ``loss_se``, where the table has it, is added to the learned scale in quadrature (on the log scale
    it is loss_se / loss).
    """

    name: ClassVar[str] = ""
    along_runs: ClassVar[bool] = False
    sigma: Any = field(default=dist.LogNormal(log(0.01), 1.0))

    def __post_init__(self) -> None:
        for f in fields(self):
            value = positive_setting(getattr(self, f.name), f"{f.name} of likelihood {self.name}", "LogNormal(-4, 1)")
            object.__setattr__(self, f.name, value)

    def tails(self, draws: Mapping[str, Any]) -> Any:
        """The residual's tails, given drawn constants."""
        raise NotImplementedError

    def has_moments(self, draws: Mapping[str, Any]) -> bool:
        """Whether a new run about the law, on the metric's own scale, has a mean and an sd, given draws of constants.

        The exponential of a Student-t has neither, whatever its degrees of freedom.
        """
        return False

    def sample(self) -> dict[str, Any]:
        """Draw the noise constants: NumPyro's model of the scatter."""
        values = ((f.name, getattr(self, f.name)) for f in fields(self))
        return {n: numpyro.sample(n, v) if isinstance(v, Distribution) else v for n, v in values}

    def drawn(self, constants: Mapping[str, Any]) -> dict[str, Any]:
        """The noise constants among `constants`, with the pinned ones."""
        return {f.name: constants.get(f.name, getattr(self, f.name)) for f in fields(self)}

    def scatter(self, mean: Values, draws: Mapping[str, Any], log_se: Values | None = None) -> Scatter:
        """The distribution of observations about `mean`, given drawn noise constants."""
        sigma = draws["sigma"]
        scale = sigma if log_se is None else jnp.sqrt(sigma**2 + log_se**2)
        return Scatter(jnp.log(mean), scale, self.tails(draws))

    def scatter_of_rows(self, mean: Values, draws: Mapping[str, Any], data: Rows) -> Scatter:
        """The distribution of each row of a table (`bayescale.posterior.data.Data`), given drawn noise constants."""
        return self.scatter(mean, draws, data.log_se)

    def __repr__(self) -> str:
        parts = ((f.name, getattr(self, f.name)) for f in fields(self))
        texts = {n: distribution_text(v) if isinstance(v, Distribution) else repr(v) for n, v in parts}
        return f"{self.name}({', '.join(f'{n}={t}' for n, t in texts.items())})"


@dataclass(frozen=True, eq=False, repr=False)
class StudentT(Likelihood):
    """log loss ~ Student-t(nu, log law, sigma): nu is learned and its prior reaches below 2.

    Juarez & Steel 2010 argue for a prior on nu that leaves the data to decide; this one has 18 % below 2
    (five odd rows among 245 pull it to 1.6) and 4 % above 30 (where it is as good as normal).
    """

    name: ClassVar[str] = "student_t"
    nu: Any = field(default=dist.LogNormal(log(5.0), 1.0))

    def tails(self, draws: Mapping[str, Any]) -> Any:
        """The residual's tails."""
        return draws["nu"]


@dataclass(frozen=True, eq=False, repr=False)
class Normal(Likelihood):
    """log loss ~ Normal(log law, sigma): every row counts as much as its distance squared."""

    name: ClassVar[str] = "normal"

    def tails(self, draws: Mapping[str, Any]) -> Any:
        """The residual's tails."""
        return "normal"

    def has_moments(self, draws: Mapping[str, Any]) -> bool:
        """They exist."""
        return True


@dataclass(frozen=True, eq=False, repr=False)
class Laplace(Likelihood):
    """log loss ~ Laplace(log law, sigma): the Bayesian counterpart of least absolute deviations."""

    name: ClassVar[str] = "laplace"

    def tails(self, draws: Mapping[str, Any]) -> Any:
        """The residual's tails."""
        return "laplace"

    def has_moments(self, draws: Mapping[str, Any]) -> bool:
        """They exist where sigma is below 1/2 at every draw: a Laplace's exponential has tails of power 1/sigma."""
        return bool(np.max(self.drawn(draws)["sigma"]) < 0.5)


@dataclass(frozen=True, eq=False, repr=False)
class Autoregressive(StudentT):
    """Residuals of log loss that follow one another along each run: AR(1) along S or D, with Student-t innovations.

    Residuals of one run at steps S and S' correlate by exp(-|log(S'/S)| / tau), or by exp(-|S' - S| / (tau unit)) where
    the rows were found to forget by steps (`bayescale.runs.checkpoints`), so that many rows of a curve count for
    the few that they are worth; those of two runs do not. sigma is the scale of a residual by itself, and that of
    one given the row before it sigma sqrt(1 - correlation^2). Needs the columns run, and S or D. Leaving one row out is
    leaving it out given the row before it.
    """

    name: ClassVar[str] = "ar1"
    along_runs: ClassVar[bool] = True
    tau: Any = field(default=dist.LogNormal(log(0.3), 1.0))

    def scatter_of_rows(self, mean: Values, draws: Mapping[str, Any], data: Rows) -> Scatter:
        """The distribution of each row, given the one before it in its run."""
        alone = self.scatter(mean, draws, data.log_se)
        decay = data.gap / draws["tau"]
        residual = jnp.log(data.observed) - alone.log_mean
        log_mean = alone.log_mean + jnp.exp(-decay) * residual[data.before]
        return Scatter(log_mean, alone.scale * jnp.sqrt(-jnp.expm1(-2 * decay)), alone.tails)


LIKELIHOODS: dict[str, type[Likelihood]] = {c.name: c for c in (StudentT, Normal, Laplace, Autoregressive)}


def following(scatter: Likelihood) -> Likelihood:
    """A likelihood of rows that follow one another, with the scale and tails of one of independent Student-t rows."""
    return Autoregressive(sigma=scatter.sigma, nu=scatter.nu) if type(scatter) is StudentT else scatter


LikelihoodLike: TypeAlias = str | Likelihood | type[Likelihood]
"""Whatever names a likelihood: its name, itself, its class."""


def likelihood_from(spec: LikelihoodLike) -> Likelihood:
    """A likelihood from its name, its class or itself.

    Raises
    ------
    UsageError
        Where there is none of that name.
    """
    if isinstance(spec, Likelihood):
        return spec
    if isinstance(spec, type) and issubclass(spec, Likelihood):
        return spec()
    if not isinstance(spec, str) or spec not in LIKELIHOODS:
        raise UsageError(
            f"there is no likelihood {spec!r}{did_you_mean(str(spec), LIKELIHOODS)}; there are {', '.join(LIKELIHOODS)}"
        )
    return LIKELIHOODS[spec]()
