"""The posterior as a density on the real line^d: law, likelihood and data in, compiled functions out."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from numpyro import handlers
from numpyro.distributions import Distribution, biject_to
from numpyro.infer.util import log_density

from bayescale.law import Centre, Law, at_rows
from bayescale.law.prior_text import distribution_text
from bayescale.likelihood import Likelihood
from bayescale.posterior.compiled import TRACING, Program
from bayescale.runs.schedule import NODES, as_numbers, peaks

BATCH = 256
"""Points evaluated together; tables of many rows get fewer, so that a batch stays within memory."""

PRIOR_DRAWS = 1000
"""How many prior draws a fit makes: to start from, to scale by, and to show."""

_CACHED: dict[Any, Target] = {}
_CACHING = threading.Lock()
KEPT = 12
"""Targets whose compiled programs wait for the next fit: each maps memory, and Linux gives a process 65530 maps."""


class Data(NamedTuple):
    """What a program reads of a table: padded rows, of which `mask` says the real ones."""

    inputs: dict[str, np.ndarray]
    observed: np.ndarray
    log_se: np.ndarray | None
    mask: np.ndarray
    centre: Centre
    before: np.ndarray | None = None  # of rows whose residuals follow one another: the row before each in its run,
    gap: np.ndarray | None = None  # and how far it is, in log steps


def padded_size(rows: int) -> int:
    """The size class of a table: a power of two, or one and a half of one, from 32 up."""
    size = 32
    while size < rows:
        size = size * 3 // 2 if size & (size - 1) == 0 else size * 4 // 3
    return size


def centre_of(inputs: Mapping[str, np.ndarray], metric: str, observed: np.ndarray) -> Centre:
    """Geometric means of the inputs, of schedules that of their peaks, and the median of the metric."""
    means = {n: float(np.exp(np.mean(np.log(peaks(x) if n == "schedule" else x)))) for n, x in inputs.items()}
    return Centre({**means, metric: float(np.median(observed))})


def padded(
    inputs: Mapping[str, np.ndarray],
    observed: np.ndarray,
    se: np.ndarray | None,
    centre: Centre,
    metric: str,
    follows: tuple[np.ndarray, np.ndarray] | None = None,
) -> Data:
    """A table's rows, padded with rows at the centre that do not count."""
    rows = len(observed)
    size = padded_size(rows)

    def pad(values: np.ndarray, filler: float) -> np.ndarray:
        return np.concatenate([values, np.full(size - rows, filler)])

    return Data(
        inputs=padded_inputs(inputs, size, centre),
        observed=pad(np.asarray(observed, float), centre.values[metric]),
        log_se=None if se is None else pad(np.asarray(se, float) / observed, 0.0),
        mask=np.arange(size) < rows,
        centre=centre,
        before=None if follows is None else np.concatenate([follows[0], np.arange(rows, size)]),
        gap=None if follows is None else pad(follows[1], 1.0),
    )


def padded_inputs(inputs: Mapping[str, np.ndarray], size: int, centre: Centre) -> dict[str, np.ndarray]:
    """Inputs as programs read them, `size` rows of each: those of the table, then rows at its centre."""
    found = {}
    for name, values in as_numbers(inputs).items():
        x = np.asarray(values, float)
        filler = x[:1] if x.ndim > 1 else np.array([centre.values.get(name, 1.0)])
        found[name] = np.concatenate([x, np.repeat(filler, size - len(x), axis=0)])
    return found


class Line(NamedTuple):
    """Coordinates y in which the law's constants do not narrow as the scatter shrinks.

    With few rows the scale of the scatter is uncertain and the law's constants are known in proportion to
    it: a funnel, on which a single metric fails. In direction i, an eigenvector of the data's information in
    units of the prior's spread, the posterior reaches 1/sqrt(information_i (scale_mode/scale)^2 + 1) when
    linear; y divides that out. Directions that only the prior holds stay as they are.

    Attributes
    ----------
    centre : ndarray, shape (p,)
        The law's coordinates at the mode.
    basis, inverse : ndarray, shape (p, p)
        The directions, as columns in coordinates z, and the inverse of that matrix.
    log_information : ndarray, shape (p,)
        Log of the data's information along each, at the mode's scale.
    log_scale : float
        Log of the scatter's scale at the mode.
    share, log_spread : ndarray, shape (o,)
        Of each offset of a pooled law: how much of what is known of it the data say, from 0 to 1, and the log of the
        spread that is its unit, where that was found. An offset is z = y (spread found / spread)^share: one that the
        data determine stays where it is as the spread varies, and one that they do not stays in units of it
        (Gorinova, Moore & Hoffman 2020, arXiv:1906.03028, section 4).
    lean, height, places : ndarray, shape (o,), (o,), (input, o)
        Of each offset that is a factor on the law: how far it gives way as the law moves at its rows, from 0 to 1, the
        log of the law there at the mode, and where they are. Rows that determine a group's level determine the product
        of the law and its factor, so that y is of that product.
    """

    centre: np.ndarray
    basis: np.ndarray
    inverse: np.ndarray
    log_information: np.ndarray
    log_scale: Any
    share: Any = np.zeros(0)
    log_spread: Any = np.zeros(0)
    lean: Any = np.zeros(0)
    height: Any = np.zeros(0)
    places: Any = np.zeros((0, 0))


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
        Which coordinates are the law's.
    scale_index : int or None
        Which coordinate is the scatter's scale; None where it is pinned.
    offset_index, spread_index : ndarray of int, shape (o,)
        Which coordinates are the offsets of a pooled law whose spread is free, and which is the spread of each.
    """

    def __init__(self, law: Law, likelihood: Likelihood) -> None:
        self.law, self.likelihood = law, likelihood
        # found here and not when first asked for: programs are traced in several threads
        self.sites = self._find_sites()
        starts = np.cumsum([0, *(size for _, size in self.sites.values())])
        noise = {f.name for f in fields(likelihood)}
        of_law = [np.arange(starts[i], starts[i + 1]) for i, n in enumerate(self.sites) if n not in noise]
        self.law_index = np.concatenate([*of_law, np.arange(0)])
        self.scale_index = int(starts[list(self.sites).index("sigma")]) if "sigma" in self.sites else None
        place = {n: np.arange(starts[i], starts[i + 1]) for i, n in enumerate(self.sites)}
        offsets = {n: s for n, s in law.offsets.items() if s in self.sites}
        self.offset_index = np.concatenate([*(place[n] for n in offsets), np.arange(0)])
        self.spread_index = np.concatenate(
            [*(np.repeat(place[s], len(place[n])) for n, s in offsets.items()), np.arange(0)]
        )
        self.densities = Program(jax.vmap(jax.value_and_grad(self.straight_log_density), in_axes=(0, None, None)))
        self.bend = Program(jax.vmap(self._bend, in_axes=(0, None, None)))
        self.straighten = Program(jax.vmap(self._straighten, in_axes=(0, None, None)))
        self.prior = Program(jax.vmap(self._prior, in_axes=(0, None)), fast_code=False)
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
                scatter = self.likelihood.scatter_of_rows(at_rows(law, data.inputs), noise, data)
                numpyro.sample(law.metric, scatter, obs=data.observed)

    def _find_sites(self) -> dict[str, tuple[Any, int]]:
        """The latent sites, by tracing shapes; nothing is computed."""
        sites: dict[str, tuple[Any, int]] = {}

        def visit() -> None:
            ones = {n: jnp.ones((1, NODES, 4) if n == "schedule" else 1) for n in self.law.inputs}
            centre = Centre({**dict.fromkeys(self.law.inputs, 1.0), self.law.metric: 1.0})
            data = Data(ones, jnp.ones(1), None, jnp.ones(1, bool), centre)  # type: ignore[arg-type]
            with handlers.trace() as trace, handlers.seed(rng_seed=0):
                self.model(data, observe=False)
            for name, site in trace.items():
                if site["type"] == "sample" and not site["is_observed"]:
                    sites[name] = (biject_to(site["fn"].support), int(np.prod(jnp.shape(site["value"]), dtype=int)))

        with TRACING, jax.enable_x64(True):
            jax.eval_shape(visit)
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

    def _log_stretch(self, z: Any, data: Data, line: Line) -> Any:
        """Log of how far each direction reaches at z's scale, over its reach at the mode's, shape (p,)."""
        if self.scale_index is None:
            return jnp.zeros(len(self.law_index))
        sigma = self.sites["sigma"][0](z[self.scale_index])
        variance = sigma**2
        if data.log_se is not None:
            variance += jnp.sum(jnp.where(data.mask, data.log_se, 0.0) ** 2) / jnp.maximum(jnp.sum(data.mask), 1)
        tighter = line.log_scale * 2 - jnp.log(variance)
        return 0.5 * (jnp.logaddexp(line.log_information, 0.0) - jnp.logaddexp(line.log_information + tighter, 0.0))

    def _bend(self, y: Any, data: Data, line: Line) -> tuple[Any, Any]:
        """From straightened coordinates y to z, with the log Jacobian."""
        log_stretch = self._log_stretch(y, data, line)
        along = line.inverse @ (y[self.law_index] - line.centre)
        z = y.at[self.law_index].set(line.centre + line.basis @ (along * jnp.exp(log_stretch)))
        log_det = jnp.sum(log_stretch)
        if len(self.offset_index):
            log_spread = self.log_spreads(z)
            narrower = line.share * (line.log_spread - log_spread)
            shift = line.lean * (self.heights(z, data, line) - line.height) * jnp.exp(-log_spread)
            z = z.at[self.offset_index].set(z[self.offset_index] * jnp.exp(narrower) - shift)
            log_det += jnp.sum(narrower)
        return z, log_det

    def heights(self, z: Any, data: Data, line: Line) -> Any:
        """Log of the law, of the population, at the places of a line, shape (o,)."""
        if not self.law.leaning or "schedule" in self.law.inputs:  # of a schedule there is no middle
            return jnp.zeros(len(self.offset_index))
        with handlers.substitute(data=self._values(z)[0]):
            population = self.law.sample(data.centre).population()
        return jnp.log(at_rows(population, dict(zip(self.law.inputs, line.places, strict=True))))

    def log_spreads(self, z: Any) -> Any:
        """Log of the spread that is the unit of each offset of a pooled law, shape (o,)."""
        names = self.coordinates
        logs = {i: jnp.log(self.sites[names[i]][0](z[i])) for i in dict.fromkeys(self.spread_index.tolist())}
        return jnp.stack([logs[i] for i in self.spread_index.tolist()])

    def _straighten(self, z: Any, data: Data, line: Line) -> Any:
        if len(self.offset_index):
            log_spread = self.log_spreads(z)
            wider = line.share * (log_spread - line.log_spread)
            shift = line.lean * (self.heights(z, data, line) - line.height) * jnp.exp(-log_spread)
            z = z.at[self.offset_index].set((z[self.offset_index] + shift) * jnp.exp(wider))
        along = line.inverse @ (z[self.law_index] - line.centre)
        back = along * jnp.exp(-self._log_stretch(z, data, line))
        return z.at[self.law_index].set(line.centre + line.basis @ back)

    def straight_log_density(self, y: Any, data: Data, line: Line) -> Any:
        """`log_density` in straightened coordinates, their Jacobian included."""
        z, log_det = self._bend(y, data, line)
        return self.log_density(z, data) + log_det

    def as_they_are(self) -> Line:
        """The `Line` that leaves coordinates as they are."""
        p, none = len(self.law_index), np.zeros(len(self.offset_index))
        places = np.ones((len(self.law.inputs), len(none)))
        return Line(
            np.zeros(p), np.eye(p), np.eye(p), np.full(p, -1e3), np.float64(0.0), none, none, none, none, places
        )

    def line_at(self, mode: np.ndarray, hessian: np.ndarray, prior_sd: np.ndarray, data: Data) -> Line:
        """The `Line` through a mode: `hessian`, shape (d, d), is the log density's there; `prior_sd` has shape (d,)."""
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
        directions = unit[:, None] * vectors
        return self.as_they_are()._replace(
            centre=mode[rows],
            basis=directions,
            inverse=vectors.T / unit,
            log_information=log_information,
            log_scale=log_scale,
        )

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
        return self.likelihood.scatter_of_rows(mean, noise, data).log_prob(data.observed)

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

    def prepare(self, data: Data) -> None:
        """Start compiling in the background what every fit needs first."""
        self.prior.prepare(np.zeros((PRIOR_DRAWS, 2), np.uint32), data)
        self.densities.prepare(np.zeros((batch_size(data), self.dimension)), data, self.as_they_are())

    def prior_draws(self, draws: int, seed: int, data: Data) -> np.ndarray:
        """Prior draws in coordinates z, shape (draws, d)."""
        keys = np.random.default_rng(seed).integers(0, 2**32, (draws, 2), dtype=np.uint32)
        return np.asarray(self.prior(keys, data))

    def evaluate(self, z: np.ndarray, data: Data, line: Line | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Log density, shape (n,), and its gradient, shape (n, d), at n points; -inf where it is not finite.

        Points are in coordinates z, or in the straightened ones of `line`.
        """
        batch = batch_size(data)
        line = self.as_they_are() if line is None else line
        values, gradients = [], []
        for block in np.split(z, range(batch, len(z), batch)):
            filled = np.concatenate([block, np.repeat(block[-1:], batch - len(block), axis=0)])
            v, g = self.densities(filled, data, line)
            values.append(np.asarray(v)[: len(block)])
            gradients.append(np.asarray(g)[: len(block)])
        value, gradient = np.concatenate(values), np.concatenate(gradients)
        broken = ~(np.isfinite(value) & np.isfinite(gradient).all(axis=1))
        value[broken], gradient[broken] = -np.inf, 0.0
        return value, gradient

    def constants_at(self, z: np.ndarray, data: Data) -> dict[str, np.ndarray]:
        """`constrain` at points of any leading shape (..., d)."""
        found = in_blocks(self.constants, z.reshape(-1, z.shape[-1]), data)
        order = [n for n in (*self.law.fields, *found) if n in found]
        return {n: found[n].reshape(z.shape[:-1]) for n in dict.fromkeys(order)}


def in_blocks(program: Program, z: np.ndarray, *rest: Any, size: int = 1000) -> Any:
    """A program's results at n points, in blocks of one size so that it compiles once; each leaf has n rows."""
    parts = []
    for block in np.split(z, range(size, len(z), size)):
        filled = np.concatenate([block, np.repeat(block[-1:], size - len(block), axis=0)])
        parts.append(jax.tree.map(np.asarray, program(filled, *rest)))
    return jax.tree.map(lambda *x: np.concatenate(x)[: len(z)], *parts)


def batch_size(data: Data) -> int:
    """How many points are evaluated together on this table."""
    return int(np.clip(2**23 // len(data.mask), 1, BATCH))


def target_of(law: Law, likelihood: Likelihood) -> Target:
    """The target of a law and a likelihood; the same one, with its compiled programs, each time."""
    key = (type(law), tuple(_identity(v) for _, v in law.items()), type(likelihood), repr(likelihood))
    with _CACHING:
        target = _CACHED.pop(key, None) or Target(law, likelihood)
        _CACHED[key] = target  # the last in order is the last used
        for old in list(_CACHED)[:-KEPT]:
            del _CACHED[old]
    return target


def _identity(value: Any) -> Any:
    if isinstance(value, Distribution):
        text = distribution_text(value)
        return id(value) if "..." in text else text
    return value if isinstance(value, str | float) else id(value)
