"""The posterior as a density on the real line^d: law, likelihood and data in, compiled functions out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from numpyro import handlers
from numpyro.distributions import Distribution, biject_to
from numpyro.infer.util import log_density

from bayescale.declare import distribution_text
from bayescale.law import Centre, Law, at_rows
from bayescale.likelihood import Likelihood
from bayescale.posterior.programs import Program

BATCH = 256
"""Points evaluated together; tables of many rows get fewer, so that a batch stays within memory."""

_CACHED: dict[Any, Target] = {}


class Data(NamedTuple):
    """What a program reads of a table: padded rows, of which `mask` says the real ones."""

    inputs: dict[str, np.ndarray]
    observed: np.ndarray
    log_se: np.ndarray | None
    mask: np.ndarray
    centre: Centre


def padded_size(rows: int) -> int:
    """The size class of a table: a power of two, or one and a half of one, from 32 up."""
    size = 32
    while size < rows:
        size = size * 3 // 2 if size & (size - 1) == 0 else size * 4 // 3
    return size


def centre_of(inputs: Mapping[str, np.ndarray], metric: str, observed: np.ndarray) -> Centre:
    """Geometric means of the inputs and the median of the metric."""
    means = {n: float(np.exp(np.mean(np.log(x)))) for n, x in inputs.items()}
    return Centre({**means, metric: float(np.median(observed))})


def padded(
    inputs: Mapping[str, np.ndarray], observed: np.ndarray, se: np.ndarray | None, centre: Centre, metric: str
) -> Data:
    """A table's rows, padded with rows at the centre that do not count."""
    rows = len(observed)
    size = padded_size(rows)

    def pad(values: np.ndarray, filler: float) -> np.ndarray:
        return np.concatenate([values, np.full(size - rows, filler)])

    return Data(
        inputs={n: pad(np.asarray(x, float), centre.values[n]) for n, x in inputs.items()},
        observed=pad(np.asarray(observed, float), centre.values[metric]),
        log_se=None if se is None else pad(np.asarray(se, float) / observed, 0.0),
        mask=np.arange(size) < rows,
        centre=centre,
    )


class Target:
    """A law and a likelihood as a density of unconstrained coordinates z, shape (d,).

    Coordinates are the logs, logits, ... of the model's latent sites in the order in which the model
    samples them. Use `target_of`, which keeps one for each law and likelihood.
    """

    def __init__(self, law: Law, likelihood: Likelihood) -> None:
        self.law, self.likelihood = law, likelihood
        self.densities = Program(jax.vmap(jax.value_and_grad(self.log_density), in_axes=(0, None)))
        self.prior = Program(jax.vmap(self._prior, in_axes=(0, None)))
        self.constants = Program(jax.vmap(self.constrain, in_axes=(0, None)))
        self.curve = Program(jax.vmap(self._curve, in_axes=(0, None)))
        self.new_run = Program(jax.vmap(self._new_run, in_axes=(0, 0, 0)))
        self.log_likelihood = Program(jax.vmap(self._log_likelihood, in_axes=(0, None)))
        self.quantities: dict[str, Program] = {}
        self.samplers: dict[Any, Program] = {}

    def model(self, data: Data, observe: bool = True) -> None:
        """The NumPyro model."""
        law = self.law.sample(data.centre)
        noise = self.likelihood.sample()
        if observe:
            with handlers.mask(mask=data.mask):
                scatter = self.likelihood.scatter(at_rows(law, data.inputs), noise, data.log_se)
                numpyro.sample(law.metric, scatter, obs=data.observed)

    @cached_property
    def sites(self) -> dict[str, tuple[Any, int]]:
        """Latent sites: name -> (transform from the real line, size); found by tracing shapes, nothing is computed."""
        sites: dict[str, tuple[Any, int]] = {}

        def visit() -> None:
            ones = {n: jnp.ones(1) for n in self.law.inputs}
            centre = Centre({**dict.fromkeys(self.law.inputs, 1.0), self.law.metric: 1.0})
            data = Data(ones, jnp.ones(1), None, jnp.ones(1, bool), centre)  # type: ignore[arg-type]
            with handlers.trace() as trace, handlers.seed(rng_seed=0):
                self.model(data, observe=False)
            for name, site in trace.items():
                if site["type"] == "sample" and not site["is_observed"]:
                    sites[name] = (biject_to(site["fn"].support), int(np.prod(jnp.shape(site["value"]), dtype=int)))

        with jax.enable_x64(True):
            jax.eval_shape(visit)
        return sites

    @property
    def dimension(self) -> int:
        """How many coordinates z has."""
        return sum(size for _, size in self.sites.values())

    def _values(self, z: Any) -> tuple[dict[str, Any], Any]:
        values: dict[str, Any] = {}
        log_det: Any = 0.0
        start = 0
        for name, (transform, size) in self.sites.items():
            u = z[start] if size == 1 else z[start : start + size]
            values[name] = transform(u)
            log_det += jnp.sum(transform.log_abs_det_jacobian(u, values[name]))
            start += size
        return values, log_det

    def log_density(self, z: Any, data: Data) -> Any:
        """Log of prior times likelihood at z, the Jacobian of the coordinates included."""
        values, log_det = self._values(z)
        return log_density(self.model, (data,), {}, values)[0] + log_det

    def constrain(self, z: Any, data: Data) -> dict[str, Any]:
        """The law's and the noise's constants at z: those with a prior, and those tied to them."""
        values, _ = self._values(z)
        with handlers.substitute(data=values):
            law, noise = self.law.sample(data.centre), self.likelihood.sample()
        free = {n: v for n, v in law.items() if not isinstance(getattr(self.law, n), float)}
        return {**free, **{n: v for n, v in noise.items() if not isinstance(v, float)}}

    def law_at(self, constants: Mapping[str, Any]) -> Any:
        """The law at one draw of its constants."""
        return self.law.drawn({n: v for n, v in constants.items() if n in self.law.fields})

    def _curve(self, constants: Mapping[str, Any], inputs: Mapping[str, Any]) -> Any:
        return at_rows(self.law_at(constants), inputs)

    def _new_run(self, constants: Mapping[str, Any], mean: Any, key: Any) -> Any:
        return self.likelihood.scatter(mean, self.likelihood.drawn(constants)).sample(key)

    def _log_likelihood(self, constants: Mapping[str, Any], data: Data) -> Any:
        mean, noise = at_rows(self.law_at(constants), data.inputs), self.likelihood.drawn(constants)
        return self.likelihood.scatter(mean, noise, data.log_se).log_prob(data.observed)

    def quantity(self, name: str) -> Program:
        """The program of another method of the law: (constants of n draws, inputs of p points) -> (n, p)."""
        if name not in self.quantities:

            def one(constants: Mapping[str, Any], inputs: Mapping[str, Any]) -> Any:
                law = self.law_at(constants)
                return at_rows(law, inputs, name) if inputs else jnp.asarray(getattr(law, name)())

            self.quantities[name] = Program(jax.vmap(one, in_axes=(0, None)))
        return self.quantities[name]

    def _prior(self, key: Any, data: Data) -> Any:
        """One prior draw, in coordinates z."""
        with handlers.trace() as trace, handlers.seed(rng_seed=key):
            self.model(data, observe=False)
        return jnp.concatenate([jnp.ravel(t.inv(trace[n]["value"])) for n, (t, _) in self.sites.items()])

    def prior_draws(self, draws: int, seed: int, data: Data) -> np.ndarray:
        """Prior draws in coordinates z, shape (draws, d)."""
        keys = np.random.default_rng(seed).integers(0, 2**32, (draws, 2), dtype=np.uint32)
        return np.asarray(self.prior(keys, data))

    def evaluate(self, z: np.ndarray, data: Data) -> tuple[np.ndarray, np.ndarray]:
        """Log density, shape (n,), and its gradient, shape (n, d), at n points; -inf where it is not finite."""
        batch = batch_size(data)
        values, gradients = [], []
        for block in np.split(z, range(batch, len(z), batch)):
            filled = np.concatenate([block, np.repeat(block[-1:], batch - len(block), axis=0)])
            v, g = self.densities(filled, data)
            values.append(np.asarray(v)[: len(block)])
            gradients.append(np.asarray(g)[: len(block)])
        value, gradient = np.concatenate(values), np.concatenate(gradients)
        broken = ~(np.isfinite(value) & np.isfinite(gradient).all(axis=1))
        value[broken], gradient[broken] = -np.inf, 0.0
        return value, gradient

    def constants_at(self, z: np.ndarray, data: Data) -> dict[str, np.ndarray]:
        """`constrain` at points of any leading shape (..., d)."""
        flat = z.reshape(-1, z.shape[-1])
        parts = []
        for block in np.split(flat, range(1000, len(flat), 1000)):
            filled = np.concatenate([block, np.repeat(block[-1:], 1000 - len(block), axis=0)])
            parts.append({n: np.asarray(v)[: len(block)] for n, v in self.constants(filled, data).items()})
        order = [n for n in (*self.law.fields, *parts[0]) if n in parts[0]]
        return {n: np.concatenate([p[n] for p in parts]).reshape(z.shape[:-1]) for n in dict.fromkeys(order)}


def batch_size(data: Data) -> int:
    """How many points are evaluated together on this table."""
    return int(np.clip(2**23 // len(data.mask), 1, BATCH))


def target_of(law: Law, likelihood: Likelihood) -> Target:
    """The target of a law and a likelihood; the same one, with its compiled programs, each time."""
    key = (type(law), tuple(_identity(v) for _, v in law.items()), type(likelihood), repr(likelihood))
    if key not in _CACHED:
        _CACHED[key] = Target(law, likelihood)
    return _CACHED[key]


def _identity(value: Any) -> Any:
    if isinstance(value, Distribution):
        text = distribution_text(value)
        return id(value) if "..." in text else text
    return value if isinstance(value, str | float) else id(value)
