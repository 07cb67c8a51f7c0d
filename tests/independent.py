"""Every law written a second time, in NumPy alone, from the formulas and priors that `bayescale laws NAME` prints.

Nothing here imports JAX, NumPyro or bayescale: a slip in a law, a prior, a change of variables or the likelihood shows
as a disagreement between two posteriors. A `Twin` states its priors of quantities at the data's centre, turns
quantities into constants, and constants into the metric. Its density is of coordinates in which the prior is standard
normal, a batch of points at once; `Posterior.sample` draws from it with emcee's ensemble, started at a mode of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import log
from typing import Any

import emcee
import numpy as np
from scipy import optimize, special

Array = np.ndarray[Any, Any]
Numbers = dict[str, Any]
PF_DAY = 1e15 * 24 * 3600


@dataclass(frozen=True)
class LogNormal:
    """log q ~ Normal(mu, s)."""

    mu: float
    s: float

    def quantity(self, u: Any) -> Any:
        """q of a coordinate u, a standard normal one under the prior."""
        return np.exp(self.mu + self.s * u)


@dataclass(frozen=True)
class Beta:
    """q ~ Beta(a, b)."""

    a: float
    b: float

    def quantity(self, u: Any) -> Any:
        """q of a coordinate u, a standard normal one under the prior."""
        return special.betaincinv(self.a, self.b, special.ndtr(u))


@dataclass(frozen=True)
class Normal:
    """q ~ Normal(mu, s)."""

    mu: float
    s: float

    def quantity(self, u: Any) -> Any:
        """q of a coordinate u, a standard normal one under the prior."""
        return self.mu + self.s * u


@dataclass(frozen=True)
class HalfNormal:
    """q ~ Normal(0, s), not negative."""

    s: float

    def quantity(self, u: Any) -> Any:
        """q of a coordinate u, a standard normal one under the prior."""
        return self.s * special.ndtri(0.5 + 0.5 * special.ndtr(u))


Prior = LogNormal | Beta | Normal | HalfNormal


@dataclass(frozen=True)
class Twin:
    """A law, its priors and a table to try it on.

    Attributes
    ----------
    priors : mapping
        Of what is stated about each free constant, by the constant's name.
    constants : callable
        (quantities, centre) -> constants.
    curve : callable
        (constants, inputs) -> metric.
    truth : mapping
        Constants that the table is simulated with.
    design : mapping
        Input -> its values, row by row.
    metric : str
    noise : float
        Scale of the simulated scatter.
    """

    priors: Mapping[str, Prior]
    constants: Callable[[Numbers, Numbers], Numbers]
    curve: Callable[[Numbers, Numbers], Any]
    truth: Mapping[str, float]
    design: Mapping[str, Array]
    metric: str = "loss"
    noise: float = 0.01

    def table(self, seed: int) -> dict[str, Array]:
        """Simulated rows: the inputs and the metric."""
        rng = np.random.default_rng(seed)
        mean = self.curve(dict(self.truth), dict(self.design))
        return {**self.design, self.metric: mean * np.exp(self.noise * rng.standard_t(5, len(mean)))}


SCATTER: dict[str, dict[str, Prior]] = {
    "student_t": {"sigma": LogNormal(log(0.01), 1.0), "nu": LogNormal(log(5.0), 1.0)},
    "normal": {"sigma": LogNormal(log(0.01), 1.0)},
    "laplace": {"sigma": LogNormal(log(0.01), 1.0)},
}


def log_scatter(residual: Any, scale: Any, nu: Any, likelihood: str) -> Any:
    """Log density of residuals on the log scale."""
    r = residual / scale
    if likelihood == "normal":
        return -0.5 * r * r - np.log(scale) - 0.5 * log(2 * np.pi)
    if likelihood == "laplace":
        return -np.abs(r) - np.log(2 * scale)
    normaliser = special.gammaln((nu + 1) / 2) - special.gammaln(nu / 2) - 0.5 * np.log(np.pi * nu)
    return normaliser - np.log(scale) - (nu + 1) / 2 * np.log1p(r * r / nu)


class Posterior:
    """A twin given a table: a density of coordinates of shape (batch, d)."""

    def __init__(self, twin: Twin, table: Mapping[str, Array], likelihood: str = "student_t") -> None:
        self.twin, self.likelihood = twin, likelihood
        self.inputs = {n: table[n] if n == "schedule" else np.asarray(table[n], float) for n in twin.design}
        self.log_observed = np.log(table[twin.metric])
        sizes = {n: [peak(t) for t in x] if n == "schedule" else x for n, x in self.inputs.items()}
        self.centre = {n: float(np.exp(np.log(x).mean())) for n, x in sizes.items()}
        self.centre[twin.metric] = float(np.median(table[twin.metric]))
        se = table.get(f"{twin.metric}_se")
        self.log_se = np.hypot(0.0 if se is None else np.asarray(se) / table[twin.metric], 1e-4)  # no loss is exact
        self.priors: dict[str, Prior] = {**twin.priors, **SCATTER[likelihood]}

    def quantities(self, u: Array) -> Numbers:
        return {n: p.quantity(u[:, i, None]) for i, (n, p) in enumerate(self.priors.items())}

    def constants(self, u: Array) -> dict[str, Array]:
        """The law's and the scatter's constants, shape (batch,) each."""
        q = self.quantities(u)
        found = {**self.twin.constants(q, self.centre), **{n: q[n] for n in SCATTER[self.likelihood]}}
        return {n: np.asarray(x)[:, 0] for n, x in found.items() if np.ndim(x)}

    def log_posterior(self, u: Array) -> Array:
        """Log of prior times likelihood, up to a constant, shape (batch,)."""
        with np.errstate(all="ignore"):
            q = self.quantities(u)
            mean = self.twin.curve(self.twin.constants(q, self.centre), self.inputs)
            scale = np.sqrt(q["sigma"] ** 2 + self.log_se**2)
            rows = log_scatter(self.log_observed - np.log(mean), scale, q.get("nu"), self.likelihood)
            total: Array = rows.sum(axis=1) - 0.5 * (u * u).sum(axis=1)
        return np.where(np.isfinite(total), total, -np.inf)

    def mode(self, seed: int, starts: int = 12) -> tuple[Array, float]:
        """The highest of the maxima that simplex searches from prior draws find."""
        rng = np.random.default_rng(seed)
        draws = rng.standard_normal((2000, len(self.priors)))
        best = draws[np.argsort(-self.log_posterior(draws))[:starts]]

        def cost(u: Array) -> float:
            return min(-float(self.log_posterior(u[None])[0]), 1e100)

        found = []
        for start in best:
            for _ in range(3):  # a simplex that has collapsed goes on when it is opened again
                end = optimize.minimize(cost, start, method="Nelder-Mead", options={"maxiter": 1500, "fatol": 1e-5})
                start = end.x
            found.append((start, -float(end.fun)))
        return max(found, key=lambda x: x[1])

    def sample(self, seed: int, walkers: int = 64, burn: int = 1500, most: int = 24000) -> Ensemble:
        """Draws from emcee's ensemble with differential-evolution moves, started about `mode`.

        The ensemble goes on until it is 80 autocorrelation times long. emcee 3.1.6's DESnookerMove is left out: alone,
        it gave a posterior of kaplan_n three quarters as wide as every other move.
        """
        rng = np.random.default_rng(seed)
        peak, _ = self.mode(seed)
        np.random.seed(seed)  # noqa: NPY002  (emcee draws from NumPy's global state)
        moves = [(emcee.moves.DEMove(), 0.8), (emcee.moves.StretchMove(), 0.2)]
        sampler = emcee.EnsembleSampler(walkers, len(peak), self.log_posterior, vectorize=True, moves=moves)
        state = sampler.run_mcmc(peak + 0.05 * rng.standard_normal((walkers, len(peak))), burn)
        sampler.reset()
        while sampler.iteration < most:
            state = sampler.run_mcmc(state, 3000)
            if sampler.iteration > 80 * max(times(sampler.get_chain()[:, :, i]) for i in range(len(peak))):
                break
        chain = sampler.get_chain()
        flat = self.constants(chain.reshape(-1, len(peak)))
        return Ensemble({n: x.reshape(chain.shape[:2]) for n, x in flat.items()})


def times(values: Array) -> float:
    """Autocorrelation time of the ensemble's mean, of values of shape (step, walker)."""
    return max(1.0, float(emcee.autocorr.integrated_time(values.mean(axis=1), tol=0)[0]))


@dataclass(frozen=True)
class Ensemble:
    """Draws of constants, shape (step, walker) each."""

    draws: dict[str, Array]

    @staticmethod
    def mean(values: Array) -> tuple[float, float]:
        """The mean of values of shape (step, walker), and its Monte Carlo error."""
        of_steps = values.mean(axis=1)
        return float(of_steps.mean()), float(of_steps.std() * np.sqrt(times(values) / len(of_steps)))


# --- the laws ---------------------------------------------------------------------------------------------------------


def mesh(**axes: Array) -> dict[str, Array]:
    """Every combination of the axes' values, row by row."""
    return dict(zip(axes, (a.ravel() for a in np.meshgrid(*axes.values(), indexing="ij")), strict=True))


def power_law(x: str, floor: str | None, exponent: str, scale: str, priors: Mapping[str, Prior], **rest: Any) -> Twin:
    """floor + (scale/x)^exponent, stated by the shares of the metric that its terms have at the centre."""

    def constants(q: Numbers, at: Numbers) -> Numbers:
        return {
            **({floor: q[floor] * at["loss"]} if floor else {}),
            exponent: q[exponent],
            scale: at[x] * (q[scale] * at["loss"]) ** (1 / q[exponent]),
        }

    def curve(k: Numbers, inputs: Numbers) -> Any:
        return (k[floor] if floor else 0.0) + np.exp(k[exponent] * (np.log(k[scale]) - np.log(inputs[x])))

    return Twin(priors, constants, curve, **rest)


EXPONENT, WHOLE = LogNormal(log(0.07), 0.6), LogNormal(0.0, 0.3)
FLOORED: dict[str, Prior] = {"L_inf": Beta(2.0, 1.2), "alpha": LogNormal(log(0.2), 0.7)}
REDUCIBLE = LogNormal(log(0.3), 0.8)
SIZES, TOKENS, FLOPS = np.geomspace(1e6, 1e9, 16), np.geomspace(3e7, 3e10, 16), np.geomspace(1e-5, 1e2, 18) * PF_DAY
GRID = mesh(N=np.geomspace(3e7, 1e10, 6), D=np.geomspace(5e8, 3e11, 6))
SMALL_GRID = mesh(N=np.geomspace(1e6, 1e9, 6), D=np.geomspace(3e7, 2e10, 6))


def chinchilla(at_centre: Mapping[str, Prior], *, floor: bool = True, tied: bool = False, **truth: float) -> Twin:
    def constants(q: Numbers, at: Numbers) -> Numbers:
        alpha, beta = q["alpha"], q["alpha" if tied else "beta"]
        k = {"A": q["A"] * at["loss"] * at["N"] ** alpha, "alpha": alpha}
        k |= {"B": q["B"] * at["loss"] * at["D"] ** beta, "beta": beta}
        return {"E": q["E"] * at["loss"], **k} if floor else k

    def curve(k: Numbers, x: Numbers) -> Any:
        return k.get("E", 0.0) + k["A"] / x["N"] ** k["alpha"] + k["B"] / x["D"] ** k["beta"]

    return Twin(at_centre, constants, curve, truth, GRID)


def coupled() -> Twin:
    def constants(q: Numbers, at: Numbers) -> Numbers:
        E, k, alpha, beta, L0 = q["E"] * at["loss"], q["k"], q["alpha"], q["beta"], at["loss"]
        A, B = (q["A"] * L0) ** (1 / k) * at["N"] ** alpha, (q["B"] * L0) ** (1 / k) * at["D"] ** beta
        return {"E": E, "A": A, "alpha": alpha, "B": B, "beta": beta, "k": k}

    def curve(c: Numbers, x: Numbers) -> Any:
        return c["E"] + (c["A"] * x["N"] ** -c["alpha"] + c["B"] * x["D"] ** -c["beta"]) ** c["k"]

    priors: dict[str, Prior] = {
        "E": Beta(1, 1), "k": LogNormal(log(0.8), 0.4), "A": SHARE, "alpha": CHINCHILLA_EXPONENT, "B": SHARE,
        "beta": CHINCHILLA_EXPONENT,
    }  # fmt: skip
    truth = {"E": 1.7, "A": 900.0, "alpha": 0.42, "B": 3500.0, "beta": 0.45, "k": 0.8}
    return Twin(priors, constants, curve, truth, GRID)


def kaplan_joint(priors: Mapping[str, Prior], floor: bool, truth: Mapping[str, float]) -> Twin:
    def constants(q: Numbers, at: Numbers) -> Numbers:
        of_d, of_n = q["alpha_D"], q["alpha_N"] * q["alpha_D"]
        k = {"alpha_N": of_n, "alpha_D": of_d, "N_c": at["N"] * (q["N_c"] * at["loss"]) ** (1 / of_n)}
        k["D_c"] = at["D"] * (q["D_c"] * at["loss"]) ** (1 / of_d)
        return {"E": q["E"] * at["loss"], **k} if floor else k

    def curve(k: Numbers, x: Numbers) -> Any:
        inner = np.exp(k["alpha_N"] / k["alpha_D"] * np.log(k["N_c"] / x["N"])) + k["D_c"] / x["D"]
        return k.get("E", 0.0) + inner ** k["alpha_D"]

    return Twin(priors, constants, curve, truth, SMALL_GRID)


def critical_batch() -> Twin:
    def constants(q: Numbers, at: Numbers) -> Numbers:
        return {"alpha_B": q["alpha_B"], "B_star": q["B_star"] * at["B_crit"] * at["loss"] ** (1 / q["alpha_B"])}

    def curve(k: Numbers, x: Numbers) -> Any:
        return np.exp(np.log(k["B_star"]) - np.log(x["loss"]) / k["alpha_B"])

    priors: dict[str, Prior] = {"alpha_B": LogNormal(-log(4.8), 0.5), "B_star": LogNormal(0.0, 0.5)}
    losses = {"loss": np.linspace(2.3, 5, 16)}
    return Twin(priors, constants, curve, {"alpha_B": 0.21, "B_star": 2.1e8}, losses, metric="B_crit", noise=0.1)


def batch_sweep() -> Twin:
    def constants(q: Numbers, at: Numbers) -> Numbers:
        return {"S_min": q["S_min"] * at["S"], "B_crit": q["B_crit"] * at["B"]}

    def curve(k: Numbers, x: Numbers) -> Any:
        return k["S_min"] + k["S_min"] * k["B_crit"] / x["B"]

    priors: dict[str, Prior] = {"S_min": LogNormal(log(0.5), 1.0), "B_crit": LogNormal(0.0, 1.5)}
    batches = {"B": np.geomspace(3e4, 1e7, 14)}
    return Twin(priors, constants, curve, {"S_min": 2000.0, "B_crit": 1e6}, batches, metric="S", noise=0.05)


def transfer_offset() -> Twin:
    def constants(q: Numbers, at: Numbers) -> Numbers:
        return {"delta": q["delta"] * at["transfer_loss"] - at["loss"]}

    def curve(k: Numbers, x: Numbers) -> Any:
        return x["loss"] + k["delta"]

    losses = {"loss": np.linspace(2.3, 5, 16)}
    return Twin({"delta": WHOLE}, constants, curve, {"delta": 0.35}, losses, metric="transfer_loss")


STEPS_PRIORS: dict[str, Prior] = {
    "alpha_N": EXPONENT, "N_c": LogNormal(log(0.8), 0.3), "alpha_S": LogNormal(log(0.7), 0.4),
    "S_c": LogNormal(log(0.15), 0.8),
}  # fmt: skip
TABLE_3 = {"alpha_N": 0.077, "N_c": 6.5e13, "alpha_S": 0.76, "S_c": 2.1e3}


def steps_constants(q: Numbers, at: Numbers) -> Numbers:
    return {
        "alpha_N": q["alpha_N"], "N_c": at["N"] * (q["N_c"] * at["loss"]) ** (1 / q["alpha_N"]),
        "alpha_S": q["alpha_S"], "S_c": at["S"] * (q["S_c"] * at["loss"]) ** (1 / q["alpha_S"]),
    }  # fmt: skip


def kaplan_ns() -> Twin:
    def curve(k: Numbers, x: Numbers) -> Any:
        return (k["N_c"] / x["N"]) ** k["alpha_N"] + (k["S_c"] / x["S"]) ** k["alpha_S"]

    design = mesh(N=np.geomspace(1e6, 1e9, 5), S=np.geomspace(3e3, 2e5, 6))
    return Twin(STEPS_PRIORS, steps_constants, curve, TABLE_3, design)


def kaplan_nsb() -> Twin:
    def constants(q: Numbers, at: Numbers) -> Numbers:
        k = steps_constants(q, at)
        return {**k, "alpha_B": q["alpha_B"], "B_star": q["B_star"] * at["loss"] ** (1 / q["alpha_B"])}

    def curve(k: Numbers, x: Numbers) -> Any:
        """Newton's method from the left on a convex decreasing function of log L: it never overshoots."""
        size, slowest = (k["N_c"] / x["N"]) ** k["alpha_N"], (k["S_c"] / x["S"]) ** k["alpha_S"]
        batch, alpha_S, alpha_B = k["B_star"] / x["B"], k["alpha_S"], k["alpha_B"]
        u = np.log(size + slowest)
        for _ in range(60):
            small = batch * np.exp(-u / alpha_B)
            steps = slowest * (1 + small) ** alpha_S
            value = np.log(size + steps) - u
            slope = -steps / (size + steps) * alpha_S * small / (1 + small) / alpha_B - 1
            u = u - value / slope
            if not np.nanmax(np.abs(value)) > 1e-12:
                break
        return np.exp(u)

    priors = {**STEPS_PRIORS, "alpha_B": LogNormal(-log(4.8), 0.5), "B_star": LogNormal(log(1e6), 1.0)}
    design = mesh(N=np.geomspace(1e6, 1e9, 3), S=np.geomspace(3e3, 2e5, 3), B=np.geomspace(3e4, 8e6, 4))
    return Twin(priors, constants, curve, {**TABLE_3, "alpha_B": 0.21, "B_star": 2.1e8}, design)


def seed_max() -> Twin:
    def constants(q: Numbers, at: Numbers) -> Numbers:
        k = {}
        for x in "NDC":
            k |= {f"alpha_{x}": q[f"alpha_{x}"]}
            k |= {f"{x}_c": at[x] * (q[f"{x}_c"] * at["loss"]) ** (1 / q[f"alpha_{x}"])}
        return k

    def curve(k: Numbers, inputs: Numbers) -> Any:
        terms = [k[f"alpha_{x}"] * (np.log(k[f"{x}_c"]) - np.log(inputs[x])) for x in "NDC"]
        top = np.maximum(np.maximum(*terms[:2]), terms[2])
        return np.exp(top) * sum(np.exp(32 * (t - top)) for t in terms) ** (1 / 32)

    share = LogNormal(log(0.7), 0.4)
    priors: dict[str, Prior] = {}
    for x in "NDC":
        priors |= {f"alpha_{x}": EXPONENT, f"{x}_c": share}
    x, plenty = np.linspace(0, 1, 10), np.ones(10)
    design = {  # three sweeps, each with one bottleneck
        "N": np.r_[10 ** (5 + 3 * x), 1e13 * plenty, 1e13 * plenty],
        "D": np.r_[1e14 * plenty, 10 ** (7 + 3 * x), 1e14 * plenty],
        "C": np.r_[1e27 * plenty, 1e27 * plenty, 10 ** (15 + 4 * x)],
    }
    truth = {"alpha_N": 0.076, "N_c": 8.8e13, "alpha_D": 0.095, "D_c": 5.4e13, "alpha_C": 0.05}
    return Twin(priors, constants, curve, {**truth, "C_c": 3.1e8 * PF_DAY}, design)


def isoflop() -> Twin:
    def constants(q: Numbers, at: Numbers) -> Numbers:
        return {"L_opt": q["L_opt"] * at["loss"], "N_opt": q["N_opt"] * at["N"], "h": q["h"]}

    def curve(k: Numbers, x: Numbers) -> Any:
        return k["L_opt"] + k["L_opt"] * 0.5 * k["h"] * (np.log(x["N"]) - np.log(k["N_opt"])) ** 2

    priors = {"L_opt": LogNormal(-0.02, 0.1), "N_opt": LogNormal(0.0, 1.0), "h": LogNormal(log(0.05), 0.8)}
    sizes = {"N": np.geomspace(2e8, 8e9, 12)}
    return Twin(priors, constants, curve, {"L_opt": 2.6, "N_opt": 1.5e9, "h": 0.04}, sizes, noise=0.002)


def isoflops() -> Twin:
    def constants(q: Numbers, at: Numbers) -> Numbers:
        reducible = q["C_c"] * at["loss"]
        return {
            "L_inf": q["L_inf"] * at["loss"], "gamma": q["gamma"], "h": q["h"], "a": q["a"],
            "C_c": at["C"] * reducible ** (1 / q["gamma"]), "k": q["k"] * at["N"] * at["C"] ** -q["a"],
        }  # fmt: skip

    def curve(k: Numbers, x: Numbers) -> Any:
        floor = k["L_inf"] + np.exp(k["gamma"] * (np.log(k["C_c"]) - np.log(x["C"])))
        return floor + floor * 0.5 * k["h"] * (np.log(x["N"]) - np.log(k["k"]) - k["a"] * np.log(x["C"])) ** 2

    priors = {
        "L_inf": Beta(2.0, 1.2), "gamma": LogNormal(log(0.16), 0.4), "C_c": LogNormal(log(0.3), 0.8),
        "h": LogNormal(log(0.05), 0.8), "a": Beta(4.0, 4.0), "k": LogNormal(0.0, 1.0),
    }  # fmt: skip
    C = np.repeat(np.geomspace(1e18, 1e22, 8), 6)
    sizes = {"N": 0.12 * C**0.5 * np.tile(np.geomspace(0.2, 4, 6), 8), "C": C}
    truth = {"L_inf": 1.7, "gamma": 0.16, "C_c": 1e20, "h": 0.04, "a": 0.5, "k": 0.12}
    return Twin(priors, constants, curve, truth, sizes, noise=0.003)


def frontier() -> Twin:
    """By way of Chinchilla's own constants: at the optimum N's share of the reducible loss is a."""

    def constants(q: Numbers, at: Numbers) -> Numbers:
        C0 = 6 * at["N"] * at["D"]
        R, N = q["R"] * at["loss"] / (1e21 / C0) ** q["gamma"], q["N_ref"] * at["N"] / (C0 / 1e21) ** q["a"]
        return {"E": q["E"] * at["loss"], "gamma": q["gamma"], "a": q["a"], "R": R, "N_ref": N}

    def curve(k: Numbers, x: Numbers) -> Any:
        alpha, beta = k["gamma"] / k["a"], k["gamma"] / (1 - k["a"])
        A, B = k["a"] * k["R"] * k["N_ref"] ** alpha, (1 - k["a"]) * k["R"] * (1e21 / 6 / k["N_ref"]) ** beta
        return k["E"] + A / x["N"] ** alpha + B / x["D"] ** beta

    priors: dict[str, Prior] = {
        "E": Beta(2.0, 1.2), "gamma": LogNormal(log(0.16), 0.4), "a": Beta(12, 12), "R": LogNormal(log(0.3), 0.8),
        "N_ref": LogNormal(0.0, 1.0),
    }  # fmt: skip
    truth = {"E": 1.8, "gamma": 0.178, "a": 0.51, "R": 0.49, "N_ref": 2.8e9}
    return Twin(priors, constants, curve, truth, GRID)


def optimal(metric: str, exponent: str, truth: Mapping[str, float]) -> Twin:
    def constants(q: Numbers, at: Numbers) -> Numbers:
        power = q[exponent]
        return {"k": np.exp(np.log(q["k"]) + np.log(at[metric]) - power * np.log(at["C"])), exponent: power}

    def curve(c: Numbers, x: Numbers) -> Any:
        return np.exp(np.log(c["k"]) + c[exponent] * np.log(x["C"]))

    priors: dict[str, Prior] = {"k": LogNormal(0.0, 1.0), exponent: Beta(4, 4)}
    return Twin(priors, constants, curve, truth, {"C": np.geomspace(6e18, 3e21, 9)}, metric=metric, noise=0.05)


def transferred_data() -> Twin:
    def constants(q: Numbers, at: Numbers) -> Numbers:
        k = q["k"] * at["D_T"] * at["D"] ** -q["alpha"] * at["N"] ** -q["beta"]
        return {"k": k, "alpha": q["alpha"], "beta": q["beta"]}

    def curve(c: Numbers, x: Numbers) -> Any:
        return np.exp(np.log(c["k"]) + c["alpha"] * np.log(x["D"]) + c["beta"] * np.log(x["N"]))

    priors: dict[str, Prior] = {"k": LogNormal(0.0, 0.5), "alpha": Beta(2, 6), "beta": LogNormal(log(0.4), 0.4)}
    truth = {"k": 1.9e4, "alpha": 0.18, "beta": 0.38}
    design = mesh(D=np.geomspace(1e5, 1e8, 5), N=np.geomspace(1e6, 1e9, 4))
    return Twin(priors, constants, curve, truth, design, metric="D_T", noise=0.1)


def data_constrained() -> Twin:
    unlimited = chinchilla(OF_CHINCHILLA)

    def constants(q: Numbers, at: Numbers) -> Numbers:
        return {**unlimited.constants(q, at), "R_D": q["R_D"], "R_N": q["R_N"]}

    def curve(k: Numbers, x: Numbers) -> Any:
        alpha, beta = k["alpha"], k["beta"]
        unique = np.where(x["U"] < x["D"], x["U"], x["D"])
        G = (alpha * k["A"] / beta / k["B"]) ** (1 / (alpha + beta))  # N_opt = G (G D)^(beta/alpha)
        needed = G ** (1 + beta / alpha) * unique ** (beta / alpha)
        needed = np.where(needed < x["N"], needed, x["N"])
        D = unique + unique * k["R_D"] * (1 - np.exp(-(x["D"] / unique - 1) / k["R_D"]))
        N = needed + needed * k["R_N"] * (1 - np.exp(-(x["N"] / needed - 1) / k["R_N"]))
        return k["E"] + k["A"] / N**alpha + k["B"] / D**beta

    priors = {**OF_CHINCHILLA, "R_D": LogNormal(log(15.0), 0.8), "R_N": LogNormal(log(5.0), 0.8)}
    truth = {**BESIROGLU, "R_D": 15.0, "R_N": 5.0}
    design = mesh(N=np.geomspace(3e7, 1e10, 5), D=np.geomspace(1e9, 1e11, 5), U=np.geomspace(3e8, 3e10, 3))
    return Twin(priors, constants, curve, truth, design)


def m3() -> Twin:
    """By way of the floor and of g, the odds of the floor's share to the power 1/c."""

    def constants(q: Numbers, at: Numbers) -> Numbers:
        root = q["gamma"] ** (1 / q["c"])
        gamma = root / (1 - root) / at["D"]
        return {"c": q["c"], "gamma": gamma, "beta": q["beta"] * at["loss"] / (1 / at["D"] + gamma) ** q["c"]}

    def curve(k: Numbers, x: Numbers) -> Any:
        return k["beta"] * (1 / x["D"] + k["gamma"]) ** k["c"]

    priors: dict[str, Prior] = {"c": FLOORED["alpha"], "gamma": Beta(2, 1.2), "beta": WHOLE}
    truth = {"c": 0.15, "gamma": 1e-9, "beta": 60.0}
    return Twin(priors, constants, curve, truth, {"D": np.geomspace(3e6, 3e10, 24)}, noise=0.005)


def m4() -> Twin:
    """Solved by Newton's steps for the log odds of the way from eps_inf to eps_0."""

    def left(w: Any, b: Any, alpha: Any) -> Any:
        return np.log(w) - alpha * np.log(b - w)

    def constants(q: Numbers, at: Numbers) -> Numbers:
        eps_0 = at["loss"] * (1 + q["eps_0"])
        eps_inf = q["eps_inf"] * np.minimum(at["loss"], eps_0)
        b, alpha, c = eps_0 - eps_inf, q["alpha"], q["c"]
        ratio = q["beta"] * at["loss"] / b
        beta = np.exp(left(b * ratio / (1 + ratio), b, alpha) + c * np.log(at["D"]))
        return {"eps_0": eps_0, "eps_inf": eps_inf, "alpha": alpha, "c": c, "beta": beta}

    def curve(k: Numbers, x: Numbers) -> Any:
        b, alpha = k["eps_0"] - k["eps_inf"], k["alpha"]
        level = np.log(k["beta"]) - k["c"] * np.log(x["D"]) - (1 - alpha) * np.log(b)
        # log w - alpha log(b - w) with w = b / (1 + exp(-s)) is convex or concave in s, and beyond its root at this s
        s = np.where(level < 0, level, level / alpha)
        for _ in range(40):
            value = alpha * np.logaddexp(0, s) - np.logaddexp(0, -s) - level
            step = value / (1 + (alpha - 1) * special.expit(s))
            s = s - step
            if not np.nanmax(np.abs(step)) > 1e-11:
                break
        return k["eps_inf"] + b * special.expit(s)

    priors: dict[str, Prior] = {
        "eps_0": LogNormal(0.0, 1.0), "eps_inf": Beta(2, 1.2), "alpha": LogNormal(log(0.7), 0.8), "c": FLOORED["alpha"],
        "beta": REDUCIBLE,
    }  # fmt: skip
    truth = {"eps_0": 0.9, "eps_inf": 0.2, "alpha": 0.8, "c": 0.5, "beta": 3000.0}
    return Twin(priors, constants, curve, truth, {"D": np.geomspace(1e4, 1e11, 36)}, noise=0.005)


def bnsl(breaks: int, **truth: float) -> Twin:
    slope, width = Normal(0.2, 0.3), LogNormal(log(0.5), 0.8)
    priors: dict[str, Prior] = {"a": Beta(2, 1.2), "c_0": slope, "c_1": slope}
    priors |= {"d_1": LogNormal(0.0, 2.0), "f_1": width}
    if breaks == 2:
        priors |= {"c_2": slope, "d_2": HalfNormal(3.0), "f_2": width}
    priors["b"] = REDUCIBLE

    def shape(k: Numbers, D: Any) -> Any:
        total = D ** -k["c_0"]
        for i in range(1, breaks + 1):
            total = total * np.exp(-k[f"c_{i}"] * k[f"f_{i}"] * np.logaddexp(0, np.log(D / k[f"d_{i}"]) / k[f"f_{i}"]))
        return total

    def constants(q: Numbers, at: Numbers) -> Numbers:
        k = {"a": q["a"] * at["loss"], "c_0": q["c_0"], "c_1": q["c_1"] - q["c_0"], "d_1": q["d_1"] * at["D"]}
        k["f_1"] = q["f_1"]
        if breaks == 2:
            k |= {"c_2": q["c_2"] - q["c_1"], "d_2": k["d_1"] * np.exp(q["d_2"]), "f_2": q["f_2"]}
        return {**k, "b": q["b"] * at["loss"] / shape(k, at["D"])}

    def curve(k: Numbers, x: Numbers) -> Any:
        return k["a"] + k["b"] * shape(k, x["D"])

    return Twin(priors, constants, curve, truth, {"D": np.geomspace(1e6, 1e12, 30 * breaks)}, noise=0.002)


def errors(priors: Mapping[str, Prior], constants: Any, curve: Any, truth: Mapping[str, float]) -> Twin:
    losses = {"loss": np.linspace(2.1, 4.8, 18)}
    return Twin(priors, constants, curve, truth, losses, metric="error", noise=0.02)


def error_exponential() -> Twin:
    def constants(q: Numbers, at: Numbers) -> Numbers:
        return {
            "epsilon": q["epsilon"],
            "gamma": q["gamma"],
            "k": q["k"] * q["epsilon"] * np.exp(q["gamma"] * at["loss"]),
        }

    def curve(c: Numbers, x: Numbers) -> Any:
        error = c["epsilon"] - c["k"] / np.exp(c["gamma"] * x["loss"])
        return 1e-4 * np.exp(np.arcsinh(error / 2e-4))

    priors: dict[str, Prior] = {"epsilon": Beta(4, 1.5), "k": Beta(1.5, 3), "gamma": LogNormal(0.0, 0.7)}
    return errors(priors, constants, curve, {"epsilon": 0.85, "k": 2.1, "gamma": 0.75})


def error_sigmoid() -> Twin:
    def constants(q: Numbers, at: Numbers) -> Numbers:
        return {**q, "floor": q["floor"] * q["chance"], "L_mid": q["L_mid"] * at["loss"]}

    def curve(c: Numbers, x: Numbers) -> Any:
        return c["floor"] + (c["chance"] - c["floor"]) * 0.5 * (1 + np.tanh(c["k"] * (x["loss"] - c["L_mid"]) / 2))

    priors: dict[str, Prior] = {
        "chance": Beta(4, 1.5), "floor": Beta(1, 3), "k": LogNormal(log(2.0), 0.7), "L_mid": LogNormal(log(0.9), 0.3),
    }  # fmt: skip
    return errors(priors, constants, curve, {"chance": 0.75, "floor": 0.1, "k": 2.0, "L_mid": 2.9})


def non_embedding() -> Twin:
    def total(N: Any) -> Any:
        return N + 47491 * np.cbrt(N)

    def constants(q: Numbers, at: Numbers) -> Numbers:
        A, B = q["A"] * at["loss"] * total(at["N"]) ** q["alpha"], q["B"] * at["loss"] * at["D"] ** q["beta"]
        return {"E": q["E"] * at["loss"], "A": A, "alpha": q["alpha"], "B": B, "beta": q["beta"]}

    def curve(c: Numbers, x: Numbers) -> Any:
        return c["E"] + c["A"] / total(x["N"]) ** c["alpha"] + c["B"] / x["D"] ** c["beta"]

    return Twin(OF_CHINCHILLA, constants, curve, BESIROGLU, GRID)


def many_experts(k: Numbers, E: Any) -> Any:
    """Clark et al.'s Ehat, brought over a common denominator."""
    x = E - 1 + k["E_start"] * k["E_max"] / (k["E_max"] - k["E_start"])
    return x * k["E_max"] / (x + k["E_max"])


EXPERTS: dict[str, Prior] = {"E_start": LogNormal(0.0, 1.0), "E_max": LogNormal(log(200.0), 1.0)}


def _bounds(q: Numbers) -> Numbers:
    return {"E_start": 1 + q["E_start"], "E_max": (1 + q["E_start"]) * (1 + q["E_max"])}


def clark_routed() -> Twin:
    """By way of the metric's natural logarithm at the centre and its slopes there."""

    def constants(q: Numbers, at: Numbers) -> Numbers:
        k = _bounds(q)
        n, e = np.log10(at["N"]), np.log10(many_experts(k, at["E"]))
        a, b = -(q["a"] + q["c"] * e), -(q["b"] + q["c"] * n)
        d = np.log10(q["d"] * at["loss"]) + q["a"] * n + q["b"] * e + q["c"] * n * e
        return {**k, "a": a, "b": b, "c": q["c"], "d": d}

    def curve(k: Numbers, x: Numbers) -> Any:
        Ehat = many_experts(k, x["E"])
        return 10 ** k["d"] * Ehat ** k["b"] * x["N"] ** (k["a"] + k["c"] * np.log10(Ehat))

    priors: dict[str, Prior] = {
        **EXPERTS, "a": LogNormal(log(0.07), 0.5), "b": LogNormal(log(0.03), 0.8), "c": Normal(0, 0.02),
        "d": LogNormal(0.0, 0.2),
    }  # fmt: skip
    truth = {"E_start": 1.85, "E_max": 310.0, "a": -0.082, "b": -0.108, "c": 0.009, "d": 1.104}
    design = mesh(N=np.geomspace(1.5e7, 1.3e9, 6), E=np.array([1.0, 2, 4, 8, 16, 32, 64, 128, 256, 512]))
    return Twin(priors, constants, curve, truth, design, noise=0.003)


def joint_moe() -> Twin:
    """By way of ln a and ln b."""

    def constants(q: Numbers, at: Numbers) -> Numbers:
        k = _bounds(q)
        e, n, d = np.log(many_experts(k, at["E"])), np.log(at["N"]), np.log(at["D"])
        # the logarithms of the terms have slopes -q in n and d, and q_delta and q_omega in e, at the centre
        ln_a = np.log(q["a"] * at["loss"]) + q["alpha"] * n - (q["delta"] - q["gamma"] * n) * e
        ln_b = np.log(q["b"] * at["loss"]) + q["beta"] * d - (q["omega"] - q["zeta"] * d) * e
        k |= {"gamma": q["gamma"], "alpha": -q["alpha"] - q["gamma"] * e, "delta": q["delta"] - q["gamma"] * n}
        k |= {"zeta": q["zeta"], "beta": -q["beta"] - q["zeta"] * e, "omega": q["omega"] - q["zeta"] * d}
        return {**k, "a": np.exp(ln_a), "b": np.exp(ln_b), "c": q["c"] * at["loss"]}

    def curve(k: Numbers, x: Numbers) -> Any:
        e, n, d = np.log(many_experts(k, x["E"])), np.log(x["N"]), np.log(x["D"])
        of_N = np.exp(np.log(k["a"]) + k["delta"] * e + k["alpha"] * n + k["gamma"] * e * n)
        return k["c"] + of_N + np.exp(np.log(k["b"]) + k["omega"] * e + k["beta"] * d + k["zeta"] * e * d)

    exponent, slope, bend = LogNormal(log(0.25), 0.5), Normal(0, 0.1), Normal(0, 0.03)
    priors: dict[str, Prior] = {
        **EXPERTS, "gamma": bend, "alpha": exponent, "delta": slope, "a": SHARE, "zeta": bend, "beta": exponent,
        "omega": slope, "b": SHARE, "c": Beta(2.0, 1.2),
    }  # fmt: skip
    truth = {
        "E_start": 2.07, "E_max": 290.0, "gamma": 0.0098, "alpha": -0.189, "delta": -0.2285, "a": 35.9, "zeta": -0.026,
        "beta": -0.1775, "omega": 0.553, "b": 36.0, "c": 1.364,
    }  # fmt: skip
    design = mesh(N=np.geomspace(3e7, 3e9, 5), D=np.geomspace(1e9, 1e11, 5), E=np.array([1.0, 2, 4, 8, 16, 32]))
    return Twin(priors, constants, curve, truth, design, noise=0.003)


SHARE, HALF = LogNormal(log(0.15), 0.8), LogNormal(log(0.5), 0.8)
CHINCHILLA_EXPONENT, ALONE = LogNormal(log(0.3), 0.5), LogNormal(log(0.14), 0.6)
OF_CHINCHILLA: dict[str, Prior] = {
    "E": Beta(2.0, 1.2), "A": SHARE, "alpha": CHINCHILLA_EXPONENT, "B": SHARE, "beta": CHINCHILLA_EXPONENT,
}  # fmt: skip
BESIROGLU = {"E": 1.8172, "A": 482.01, "alpha": 0.3478, "B": 2085.43, "beta": 0.3658}
RATIO = LogNormal(log(0.75), 0.4)
JOINT: dict[str, Prior] = {
    "alpha_N": RATIO, "alpha_D": LogNormal(log(0.1), 0.5), "N_c": LogNormal(log(0.9), 0.3),
    "D_c": LogNormal(log(0.9), 0.3),
}  # fmt: skip
JOINT_E: dict[str, Prior] = {
    "E": Beta(1, 1), "alpha_N": RATIO, "alpha_D": LogNormal(log(0.2), 0.6), "N_c": LogNormal(log(0.4), 0.6),
    "D_c": LogNormal(log(0.4), 0.6),
}  # fmt: skip


def knots(text: str) -> list[list[float]]:
    """Steps and rates of a schedule of constant stretches and jumps."""
    return [[float(x) for x in knot.split(":")] for knot in text.split()]


def peak(text: str) -> float:
    """The highest rate of a schedule."""
    return max(rate for _, rate in knots(text))


def jumps(S: float, text: str) -> Array:
    """Of a schedule of jumps, up to a step: falls of the rate, rates after, sums of rates and steps since; (4, 3).

    Rates of steps are summed one by one, the step of a jump and the last included. Rows that there are no jumps for
    fall by nothing.
    """
    found, at = np.zeros((4, 3)), knots(text)
    found[1:3] = 1.0
    step = np.arange(int(S) + 1)
    rates = np.zeros(len(step))
    for since, rate in at:
        rates[step >= since] = rate
    before, row = 0.0, 0
    for since, rate in at:
        if rate != before and since <= S:
            found[:, row] = before - rate, rate, rates[int(since) : int(S)].sum() + rate, S - since + 1
            row += 1
        before = rate
    return found


STEPPED = {
    "S": np.tile(np.linspace(500.0, 12000.0, 15).round(), 4),
    "schedule": np.repeat(
        [
            "0:3e-4",
            "0:3e-4 3000:3e-4 3000:1e-4",
            "0:2e-4 6000:2e-4 6000:1e-5",
            "0:3e-4 2000:3e-4 2000:1e-4 8000:1e-4 8000:1e-5",
        ],
        15,
    ).astype(object),
}  # fmt: skip
ALONG: dict[str, Prior] = {
    "L_0": Beta(4.0, 1.2), "A": LogNormal(log(0.15), 0.8), "alpha": LogNormal(log(0.5), 0.5),
}  # fmt: skip
DECAY = LogNormal(log(0.03), 0.8)


@functools.cache
def read(S: tuple[float, ...], schedule: tuple[str, ...]) -> tuple[Array, Array]:
    """Sums of all rates, shape (row,), and the jumps, shape (4, jump, row)."""
    changes = np.stack([jumps(s, t) for s, t in zip(S, schedule, strict=True)], axis=-1)
    sums = []
    for s, t in zip(S, schedule, strict=True):
        rates = np.zeros(int(s))
        for since, rate in knots(t):
            rates[int(since) :] = rate
        sums.append(rates.sum())
    return np.array(sums), changes


def along(c: Numbers, q: Numbers, at: Numbers) -> Numbers:
    """The constants that both laws of schedules share."""
    A = q["A"] * at["loss"] * (at["schedule"] * at["S"]) ** q["alpha"]
    return {**c, "L_0": q["L_0"] * at["loss"], "A": A, "alpha": q["alpha"]}


def annealing() -> Twin:
    def constants(q: Numbers, at: Numbers) -> Numbers:
        lam = q["lam"] / (1 + q["lam"])
        return along({"lam": lam, "C": q["C"] * at["loss"] * (1 - lam) / at["schedule"]}, q, at)

    def curve(c: Numbers, x: Numbers) -> Any:
        total, (drop, _, _, n) = read(tuple(x["S"]), tuple(x["schedule"]))
        S2 = sum(d * (1 - c["lam"] ** m) / (1 - c["lam"]) for d, m in zip(drop, n, strict=True))
        return c["L_0"] + c["A"] * total ** -c["alpha"] - c["C"] * S2

    return Twin(
        {**ALONG, "lam": LogNormal(log(1000.0), 1.0), "C": DECAY},
        constants, curve, {"L_0": 2.6, "A": 0.5, "alpha": 0.5, "lam": 0.999, "C": 0.4}, STEPPED, noise=0.002,
    )  # fmt: skip


def multi_power() -> Twin:
    def constants(q: Numbers, at: Numbers) -> Numbers:
        own = {"B": q["B"] * at["loss"] / at["schedule"], "gamma": q["gamma"], "beta": q["beta"]}
        return along({**own, "C": at["schedule"] ** (q["gamma"] - 1) / q["C"]}, q, at)

    def curve(c: Numbers, x: Numbers) -> Any:
        total, (drop, rate, since, _) = read(tuple(x["S"]), tuple(x["schedule"]))
        gained = sum(
            d * (1 - (c["C"] * r ** -c["gamma"] * s + 1) ** -c["beta"])
            for d, r, s in zip(drop, rate, since, strict=True)
        )
        return c["L_0"] + c["A"] * total ** -c["alpha"] - c["B"] * gained

    return Twin(
        {**ALONG, "B": DECAY, "gamma": LogNormal(log(0.6), 0.4), "C": LogNormal(log(20.0), 1.5),
         "beta": LogNormal(log(0.6), 0.4)},
        constants, curve,
        {"L_0": 2.6, "A": 0.5, "alpha": 0.5, "B": 400.0, "gamma": 0.64, "C": 2.0, "beta": 0.59}, STEPPED, noise=0.002,
    )  # fmt: skip


TWINS: dict[str, Twin] = {
    "chinchilla": chinchilla(OF_CHINCHILLA, **BESIROGLU),
    "chinchilla_tied": chinchilla(
        {n: p for n, p in OF_CHINCHILLA.items() if n != "beta"}, tied=True, E=1.8, A=560.0, alpha=0.35, B=1500.0,
        beta=0.35,
    ),
    "chinchilla_no_floor": chinchilla(
        {"A": HALF, "alpha": ALONE, "B": HALF, "beta": ALONE}, floor=False, A=20.0, alpha=0.13, B=40.0, beta=0.14
    ),
    "coupled": coupled(),
    "kaplan_n": power_law(
        "N", None, "alpha_N", "N_c", {"alpha_N": EXPONENT, "N_c": WHOLE},
        truth={"alpha_N": 0.076, "N_c": 8.8e13}, design={"N": SIZES},
    ),
    "kaplan_d": power_law(
        "D", None, "alpha_D", "D_c", {"alpha_D": EXPONENT, "D_c": WHOLE},
        truth={"alpha_D": 0.095, "D_c": 5.4e13}, design={"D": TOKENS},
    ),
    "kaplan_c": power_law(
        "C", None, "alpha_C", "C_c", {"alpha_C": EXPONENT, "C_c": WHOLE},
        truth={"alpha_C": 0.057, "C_c": 1.6e7 * PF_DAY}, design={"C": FLOPS},
    ),
    "kaplan_cmin": power_law(
        "C", None, "alpha_C", "C_c", {"alpha_C": EXPONENT, "C_c": WHOLE},
        truth={"alpha_C": 0.050, "C_c": 3.1e8 * PF_DAY}, design={"C": FLOPS},
    ),
    "power_law_n": power_law(
        "N", "L_inf", "alpha", "N_c", {**FLOORED, "N_c": REDUCIBLE},
        truth={"L_inf": 1.7, "alpha": 0.34, "N_c": 2e7}, design={"N": SIZES},
    ),
    "power_law_d": power_law(
        "D", "L_inf", "alpha", "D_c", {**FLOORED, "D_c": REDUCIBLE},
        truth={"L_inf": 1.7, "alpha": 0.28, "D_c": 8e8}, design={"D": TOKENS},
    ),
    "power_law_c": power_law(
        "C", "L_inf", "alpha", "C_c", {**FLOORED, "C_c": REDUCIBLE},
        truth={"L_inf": 1.7, "alpha": 0.15, "C_c": 1e18}, design={"C": FLOPS},
    ),
    "kaplan_nd": kaplan_joint(JOINT, False, {"alpha_N": 0.076, "alpha_D": 0.103, "N_c": 6.4e13, "D_c": 1.8e13}),
    "kaplan_e": kaplan_joint(JOINT_E, True, {"E": 1.5, "alpha_N": 0.19, "alpha_D": 0.24, "N_c": 4e9, "D_c": 1e10}),
    "kaplan_ns": kaplan_ns(),
    "kaplan_nsb": kaplan_nsb(),
    "critical_batch": critical_batch(),
    "batch_sweep": batch_sweep(),
    "transfer_offset": transfer_offset(),
    "seed_max": seed_max(),
    "frontier": frontier(),
    "isoflop": isoflop(),
    "isoflops": isoflops(),
    "optimal_n": optimal("N_opt", "a", {"k": 0.12, "a": 0.5}),
    "optimal_d": optimal("D_opt", "b", {"k": 5.8, "b": 0.48}),
    "transferred_data": transferred_data(),
    "data_constrained": data_constrained(),
    "clark_routed": clark_routed(),
    "joint_moe": joint_moe(),
    "error_exponential": error_exponential(),
    "error_sigmoid": error_sigmoid(),
    "chinchilla_non_embedding": non_embedding(),
    "annealing": annealing(),
    "multi_power": multi_power(),
    "m3": m3(),
    "m4": m4(),
    "bnsl": bnsl(1, a=0.5, c_0=0.1, c_1=0.3, d_1=3e8, f_1=0.4, b=20.0),
    "bnsl_2": bnsl(2, a=0.5, c_0=0.3, c_1=-0.25, d_1=3e7, f_1=0.4, c_2=0.4, d_2=1e10, f_2=0.4, b=100.0),
}  # fmt: skip
