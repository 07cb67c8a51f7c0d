"""The posterior as a density on the real line^d: law, likelihood and data in, compiled functions out."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from numpyro import handlers
from numpyro.distributions import Distribution, biject_to
from numpyro.infer.util import log_density

from bayescale.compiled import TRACING, Program, in_blocks
from bayescale.law import Centre, Stated, at_rows
from bayescale.law.law import at_point
from bayescale.law.own_code import users_code
from bayescale.law.prior_text import distribution_text, has_text
from bayescale.law.varying import AnyLaw, Varying
from bayescale.likelihood import Likelihood
from bayescale.posterior.coordinates import Conditioning, Coordinates, Straightening, Whitening, whitening
from bayescale.posterior.data import Data
from bayescale.runs.features import feature_of

BATCH = 256
"""Points evaluated together; tables of many rows get fewer, so that a batch stays within memory."""

FEW = 64
"""Of a law with fields: those about one point of some thirty coordinates."""

PRIOR_DRAWS = 1000
"""How many prior draws a fit makes: to start from, to scale by, and to show."""

FRESH = 11
"""The stream of random numbers with which fields go on beyond a table."""

_CACHED: dict[Any, Target] = {}
_CACHE = threading.Lock()
"""Held for moments only: a target is made outside, where it may wait for a model that another thread traces."""
KEPT = 12
"""Targets whose compiled programs wait for the next fit: each maps memory, and Linux gives a process 65530 maps."""


class Target:
    """A law and a likelihood as a density of unconstrained coordinates z, shape (d,).

    Coordinates are the logs, logits, ... of the model's latent sites in the order in which the model
    samples them. Use `target_of`, which keeps one for each law and likelihood.

    Attributes
    ----------
    law, likelihood : Law, Likelihood
    sites : dict
        Latent sites: name -> (transform from the real line, size).
    law_index : ndarray of int, shape (p,)
        Which coordinates are the law's own constants.
    scale_index : int or None
        Which coordinate is the scatter's scale; None where it is pinned.
    unit_index : ndarray of int, shape (u,)
        Which coordinates are the standard normal numbers of the law's fields, in the order of the fields.
    own_index : ndarray of int, shape (g, k)
        Those among them of groups that share no row, k of each group: of the column that has the most groups.
    """

    def __init__(self, law: AnyLaw, likelihood: Likelihood) -> None:
        self.law, self.likelihood = law, likelihood
        # found here and not when first asked for: programs are traced in several threads
        self.sites = self._find_sites()
        starts = np.cumsum([0, *(size for _, size in self.sites.values())])
        noise = {f.name for f in fields(likelihood)}
        self.scale_index = int(starts[list(self.sites).index("sigma")]) if "sigma" in self.sites else None
        self.place = {n: np.arange(starts[i], starts[i + 1]) for i, n in enumerate(self.sites)}
        latent = law.latent
        self.unit_index = np.concatenate([*(self.place[f.name] for f in latent), np.arange(0)])
        of_fields = {n for f in latent for n in (f.name, f.scale)}
        of_law = [self.place[n] for n in self.sites if n not in noise and n not in of_fields]
        self.law_index = np.concatenate([*of_law, np.arange(0)])
        groups = max((f for f in latent if f.separate), key=lambda f: f.size, default=None)
        own = [self.place[f.name] for f in latent if groups is not None and f.separate == groups.separate]
        self.own_index = np.stack(own, axis=1) if own else np.zeros((0, 1), int)
        self.rest_index = np.concatenate([self.law_index, np.setdiff1d(self.unit_index, self.own_index)])
        self.densities = Program(jax.vmap(jax.value_and_grad(self.straight_log_density), in_axes=(0, None, None)))
        self.bend = Program(jax.vmap(self._bend, in_axes=(0, None, None)))
        self.straighten = Program(jax.vmap(self._straighten, in_axes=(0, None, None)))
        self.prior = Program(jax.vmap(self._prior, in_axes=(0, None)), fast_code=False)
        self.constants = Program(jax.vmap(self.constrain, in_axes=((0, 0), None)))
        self.linear = Program(self._linear)
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
                scatter = self.likelihood.scatter_of_rows(at_rows(law, data.inputs), noise, data)
                numpyro.sample(law.metric, scatter, obs=data.observed)

    def _find_sites(self) -> dict[str, tuple[Any, int]]:
        """The latent sites, by tracing shapes; nothing is computed."""
        sites: dict[str, tuple[Any, int]] = {}

        def visit(centre: Centre) -> None:
            ones = {n: jnp.ones((1, *feature_of(n).shape)) for n in self.law.inputs}
            data = Data(ones, jnp.ones(1), None, jnp.ones(1, bool), centre)  # type: ignore[arg-type]
            with handlers.trace() as trace, handlers.seed(rng_seed=0), users_code(self.law.law.name, "sample"):
                self.model(data, observe=False)
            for name, site in trace.items():
                if site["type"] == "sample" and not site["is_observed"]:
                    sites[name] = (biject_to(site["fn"].support), int(np.prod(jnp.shape(site["value"]), dtype=int)))

        with TRACING, jax.enable_x64(True):
            jax.eval_shape(visit, Centre(dict.fromkeys((*self.law.inputs, self.law.metric), 1.0)))
        return sites

    @property
    def coordinates(self) -> list[str]:
        """A name for each coordinate z: the site's, with a number where the site has several."""
        return [n if size == 1 else f"{n}[{i}]" for n, (_, size) in self.sites.items() for i in range(size)]

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

    def _log_stretch(self, z: Any, data: Data, line: Straightening) -> Any:
        """Log of how far each direction reaches at z's scale, over its reach at the mode's, shape (p,)."""
        if self.scale_index is None:
            return jnp.zeros(len(self.law_index))
        tighter = line.log_scale * 2 - jnp.log(self.variance(z, data))
        return 0.5 * (jnp.logaddexp(line.log_information, 0.0) - jnp.logaddexp(line.log_information + tighter, 0.0))

    def _bend(self, y: Any, data: Data, at: Coordinates) -> tuple[Any, Any]:
        """From coordinates y to z, with the log Jacobian."""
        if isinstance(at, Conditioning):
            white, unit = self._whitening(y, data, at)
            rest, own = white.coefficients(y[self.rest_index], y[self.own_index])
            z = y.at[self.rest_index].set(rest).at[self.own_index].set(own)
            z = z / unit
            log_det = white.log_det - jnp.log(unit).sum()
            return jnp.where(at.on, z, y), jnp.where(at.on, log_det, 0.0)
        log_stretch = self._log_stretch(y, data, at)
        along = at.inverse @ (y[self.law_index] - at.centre)
        z = y.at[self.law_index].set(at.centre + at.basis @ (along * jnp.exp(log_stretch)))
        return z, jnp.sum(log_stretch)

    def _straighten(self, z: Any, data: Data, at: Coordinates) -> Any:
        if isinstance(at, Conditioning):
            white, unit = self._whitening(z, data, at)
            natural = z * unit
            rest, own = white.whitened(natural[self.rest_index], natural[self.own_index])
            return jnp.where(at.on, z.at[self.rest_index].set(rest).at[self.own_index].set(own), z)
        along = at.inverse @ (z[self.law_index] - at.centre)
        back = along * jnp.exp(-self._log_stretch(z, data, at))
        return z.at[self.law_index].set(at.centre + at.basis @ back)

    def _whitening(self, z: Any, data: Data, at: Conditioning) -> tuple[Whitening, Any]:
        """The whitening of coefficients at z's scales, and the units of coordinates, shape (d,)."""
        unit = self.unit_scales(z)
        precision = (unit**-2.0).at[self.law_index].set(at.precision)
        weight = 1 / self.variance(z, data)
        return whitening(at, weight, precision[self.rest_index], precision[self.own_index]), unit

    def unit_scales(self, z: Any) -> Any:
        """The scale of each standard normal number of the fields, and 1 of all other coordinates, shape (d,)."""
        found = jnp.ones(self.dimension)
        for f in self.law.latent:
            free = f.scale in self.sites
            found = found.at[self.place[f.name]].set(
                self.sites[f.scale][0](z[self.place[f.scale][0]]) if free else f.prior
            )
        return found

    def variance(self, z: Any, data: Data) -> Any:
        """Of the scatter of a row's log metric, its measurement's mean one included."""
        found = 1.0 if self.scale_index is None else self.sites["sigma"][0](z[self.scale_index]) ** 2
        if self.scale_index is None and isinstance(self.likelihood.sigma, float):
            found = self.likelihood.sigma**2
        if data.log_se is not None:
            rows = jnp.maximum(jnp.sum(data.mask), 1)
            found += jnp.sum(jnp.where(data.mask, data.log_se, 0.0) ** 2) / rows
        return found

    def _linear(self, z: Any, data: Data) -> tuple[Any, Any, Any]:
        """Of each row the log of the law, its slope in the coefficients, and the weight of its residual.

        Shapes (row,), (row, u + p) in the order of `rest_index` and then `own_index`, and (row,): a residual's weight
        is the slope of its log likelihood over the residual, as in iteratively reweighted least squares.
        """
        unit = self.unit_scales(z)
        order = np.concatenate([self.rest_index, self.own_index.ravel()])

        def log_law(natural: Any) -> Any:
            values, _ = self._values(z.at[order].set(natural / unit[order]))
            with handlers.substitute(data=values):
                law = self.law.sample(data.centre)
            return jnp.log(at_rows(law, data.inputs))

        natural = (z * unit)[order]
        mean, slope = log_law(natural), jax.jacfwd(log_law)(natural)
        with handlers.substitute(data=self._values(z)[0]):
            noise = self.likelihood.sample()
        residual = jnp.log(data.observed) - mean
        least = 0.1 * jnp.sqrt(self.variance(z, data))
        residual = jnp.where(jnp.abs(residual) < least, least, residual)

        def log_likelihood(at: Any) -> Any:
            return self.likelihood.scatter(jnp.exp(at), noise, data.log_se).log_prob(data.observed).sum()

        weight = jax.grad(log_likelihood)(jnp.log(data.observed) - residual) / residual
        return mean, slope, jnp.where(data.mask, jnp.maximum(weight, 0.0), 0.0)

    def straight_log_density(self, y: Any, data: Data, at: Coordinates) -> Any:
        """`log_density` in coordinates y, their Jacobian included."""
        z, log_det = self._bend(y, data, at)
        return self.log_density(z, data) + log_det

    def as_they_are(self) -> Coordinates:
        """The coordinates z themselves."""
        p = len(self.law_index)
        if self.law.latent:
            m, (g, k) = len(self.rest_index), self.own_index.shape
            return Conditioning(
                np.float64(0.0), np.eye(m), np.zeros((g, k, m)), np.zeros((g, k, k)) + np.eye(k), np.zeros(m),
                np.zeros((g, k)), np.zeros(p), np.ones(p),
            )  # fmt: skip
        return Straightening(np.zeros(p), np.eye(p), np.eye(p), np.full(p, -1e3), np.float64(0.0))

    def straightening(self, mode: np.ndarray, hessian: np.ndarray, prior_sd: np.ndarray, data: Data) -> Straightening:
        """Coordinates about a mode: `hessian`, shape (d, d), is the log density's there; `prior_sd` has shape (d,)."""
        rows, unit = self.law_index, prior_sd[self.law_index]
        information, vectors = np.linalg.eigh(-hessian[np.ix_(rows, rows)] * unit[:, None] * unit)
        # in units of the prior's spread the prior's own information is one
        log_information = np.log(np.maximum(information - 1.0, 1e-12))
        log_scale = np.float64(0.0)
        if self.scale_index is not None:
            with jax.enable_x64(True):
                variance = float(self.sites["sigma"][0](mode[self.scale_index])) ** 2
            if data.log_se is not None:
                variance += float(np.mean(data.log_se[data.mask] ** 2))
            log_scale = np.float64(0.5 * np.log(variance))
        return Straightening(mode[rows], unit[:, None] * vectors, vectors.T / unit, log_information, log_scale)

    def constrain(self, point: tuple[Any, Any], data: Data) -> dict[str, Any]:
        """The law's and the noise's constants at a point: those with a prior, those tied to them, and what fields give.

        A point is z and the standard normal numbers with which fields go on beyond the table, shape (fresh,).
        """
        z, fresh = point
        values, _ = self._values(z)
        ends = np.cumsum([0, *(f.fresh for f in self.law.latent)])
        further = {f.name: fresh[a:b] for f, a, b in zip(self.law.latent, ends[:-1], ends[1:], strict=True)}
        with handlers.substitute(data=values):
            law = (
                self.law.sample(data.centre, further) if isinstance(self.law, Varying) else self.law.sample(data.centre)
            )
            noise = self.likelihood.sample()
        pinned = {n for n, v in self.law.items() if isinstance(v, float)}
        free = {n: v for n, v in law.items() if n not in pinned}
        return {**free, **{n: v for n, v in noise.items() if not isinstance(v, float)}}

    def law_at(self, constants: Mapping[str, Any]) -> Any:
        """The law at one draw of its constants."""
        pinned = {n: v for n, v in self.law.items() if isinstance(v, float)}
        return self.law.drawn({**pinned, **{n: v for n, v in constants.items() if n in self.law.fields}})

    def _curve(self, constants: Mapping[str, Any], inputs: Mapping[str, Any]) -> Any:
        return at_rows(self.law_at(constants), inputs)

    def _new_run(self, constants: Mapping[str, Any], mean: Any, key: Any) -> Any:
        return self.likelihood.scatter(mean, self.likelihood.drawn(constants)).sample(key)

    def _log_likelihood(self, constants: Mapping[str, Any], data: Data) -> Any:
        mean, noise = at_rows(self.law_at(constants), data.inputs), self.likelihood.drawn(constants)
        return self.likelihood.scatter_of_rows(mean, noise, data).log_prob(data.observed)

    def quantity(self, name: str) -> Program:
        """The program of another method of the law: (constants of n draws, inputs of p points) -> (n, p)."""
        if name not in self.quantities:

            def one(constants: Mapping[str, Any], inputs: Mapping[str, Any]) -> Any:
                law = self.law_at(constants)
                law = self.law_at(constants)
                if inputs:
                    return at_rows(law, inputs, name)
                return jnp.asarray(at_point(law.population() if law.latent else law, name))

            self.quantities[name] = Program(jax.vmap(one, in_axes=(0, None)))
        return self.quantities[name]

    def _prior(self, key: Any, data: Data) -> Any:
        """One prior draw, in coordinates z."""
        with handlers.trace() as trace, handlers.seed(rng_seed=key):
            self.model(data, observe=False)
        return jnp.concatenate([jnp.ravel(t.inv(trace[n]["value"])) for n, (t, _) in self.sites.items()])

    def prepare(self, data: Data) -> None:
        """Start compiling in the background what every fit needs first."""
        self.prior.prepare(np.zeros((PRIOR_DRAWS, 2), np.uint32), data)
        self.densities.prepare(np.zeros((self._batch(data), self.dimension)), data, self.as_they_are())

    def prior_draws(self, draws: int, seed: int, data: Data) -> np.ndarray:
        """Prior draws in coordinates z, shape (draws, d)."""
        keys = np.random.default_rng(seed).integers(0, 2**32, (draws, 2), dtype=np.uint32)
        return np.asarray(self.prior(keys, data))

    def _batch(self, data: Data) -> int:
        """How many points are evaluated together: of a law with fields few, about a mode that is searched."""
        return min(FEW if self.law.latent else BATCH, batch_size(data))

    def evaluate(self, z: np.ndarray, data: Data, at: Coordinates | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Log density, shape (n,), and its gradient, shape (n, d), at n points; -inf where it is not finite.

        Points are in coordinates z, or in those of `at`.
        """
        batch = self._batch(data)
        at = self.as_they_are() if at is None else at
        values, gradients = [], []
        for block in np.split(z, range(batch, len(z), batch)):
            filled = np.concatenate([block, np.repeat(block[-1:], batch - len(block), axis=0)])
            v, g = self.densities(filled, data, at)
            values.append(np.asarray(v)[: len(block)])
            gradients.append(np.asarray(g)[: len(block)])
        value, gradient = np.concatenate(values), np.concatenate(gradients)
        broken = ~(np.isfinite(value) & np.isfinite(gradient).all(axis=1))
        value[broken], gradient[broken] = -np.inf, 0.0
        return value, gradient

    def constants_at(self, z: np.ndarray, data: Data, seed: int = 0) -> dict[str, np.ndarray]:
        """`constrain` at points of any leading shape (..., d); `seed` is that of the numbers beyond the table."""
        fresh = np.random.default_rng((seed, FRESH)).standard_normal(
            (z.size // z.shape[-1], sum(f.fresh for f in self.law.latent))
        )
        found = in_blocks(self.constants, (z.reshape(-1, z.shape[-1]), fresh), data)
        order = [n for n in (*self.law.fields, *found) if n in found]
        return {n: found[n].reshape(*z.shape[:-1], *found[n].shape[1:]) for n in dict.fromkeys(order)}


def batch_size(data: Data) -> int:
    """How many points are evaluated together on this table."""
    return int(np.clip(2**23 // len(data.mask), 1, BATCH))


def target_of(law: AnyLaw, likelihood: Likelihood) -> Target:
    """The target of a law and a likelihood; the same one, with its compiled programs, each time."""
    settings = [v for _, v in law.items()] + [getattr(likelihood, f.name) for f in fields(likelihood)]
    key = (type(law.law), type(likelihood), *(f.key for f in law.latent), *map(_identity, settings))
    with _CACHE:
        target = _CACHED.pop(key, None)
    made = target or Target(law, likelihood)
    with _CACHE:
        _CACHED[key] = target = _CACHED.pop(key, made)  # the last in order is the last used
        for old in list(_CACHED)[:-KEPT]:
            del _CACHED[old]
    return target


def _identity(value: Any) -> Any:
    """What two settings must share to be one: a prior's text where that makes it, else the very object."""
    if isinstance(value, Distribution):
        return distribution_text(value) if has_text(value) else value
    return value if isinstance(value, str | float | Stated) else id(value)  # its target keeps it alive
