"""Other people's ways to fit Chinchilla's law, in NumPy: the published recipes with a pairs bootstrap.

`huber_bootstrap` is the recipe of Hoffmann et al. 2022 and Besiroglu et al. 2024: Huber's loss (delta 1e-3) of log
residuals. `least_squares_bootstrap` is exact least squares of the loss by variable projection, as vpnls does it: for
given exponents E, A and B are linear, so that a grid of exponents finds the global minimum. Both minima are polished,
and the resamples started at them, by one batched Levenberg-Marquardt with Huber's weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize, nnls

E, A, ALPHA, B, BETA = 1.8172, 482.01, 0.3478, 2085.43, 0.3658
"""Besiroglu et al. 2024 (arXiv:2404.10102): the truth of the simulations."""
DELTA = 1e-3
RESAMPLES = 200
Array = np.ndarray[Any, Any]


def true_loss(N: Any, D: Any) -> Any:
    """Chinchilla's law at the true constants."""
    return E + A * N**-ALPHA + B * D**-BETA


def optimum(C: Any, A: Any = A, B: Any = B, alpha: Any = ALPHA, beta: Any = BETA) -> Any:
    """Compute-optimal parameters of C FLOPs (Hoffmann et al. 2022, eq. 4)."""
    return (alpha * A / (beta * B)) ** (1 / (alpha + beta)) * (C / 6) ** (beta / (alpha + beta))


class Problem:
    """Rows, in units in which the constants are of order one.

    Constants are p = (e, a, alpha, b, beta) with E = exp(e), and a, b the logs of what finite N and D cost at the
    rows' geometric means.
    """

    def __init__(self, table: pd.DataFrame, *, log: bool, delta: float | None) -> None:
        N, D, loss = (table[c].to_numpy(float) for c in ("N", "D", "loss"))
        self.centre = np.log(N).mean(), np.log(D).mean()
        self.n, self.d, self.loss = np.log(N) - self.centre[0], np.log(D) - self.centre[1], loss
        self.log, self.delta = log, delta

    def residuals(self, p: Array) -> tuple[Array, Array]:
        """Residuals, shape (..., row), and their Jacobian, (..., row, 5), at constants of shape (..., 5)."""
        e, a, alpha, b, beta = (p[..., i, None] for i in range(5))
        floor, of_n, of_d = np.exp(e + 0 * self.n), np.exp(a - alpha * self.n), np.exp(b - beta * self.d)
        mean = floor + of_n + of_d
        slope = np.stack([floor, of_n, -of_n * self.n, of_d, -of_d * self.d], axis=-1)
        if self.log:
            return np.log(mean) - np.log(self.loss), slope / mean[..., None]
        return mean - self.loss, slope

    def cost(self, r: Array, counts: Array) -> Array:
        if self.delta is None:
            return 0.5 * (counts * r * r).sum(-1)
        size = np.abs(r)
        return (counts * np.where(size <= self.delta, 0.5 * r * r, self.delta * (size - 0.5 * self.delta))).sum(-1)

    def weights(self, r: Array, counts: Array) -> Array:
        """Of iteratively reweighted least squares."""
        return counts if self.delta is None else counts * self.delta / np.maximum(np.abs(r), self.delta)

    def minima(self, p: Array, counts: Array, steps: int = 300) -> Array:
        """Minimise from starts (batch, 5) with rows counted `counts` times, (batch, row)."""
        p = p.copy()
        damping = np.full(len(p), 1e-3)
        r, J = self.residuals(p)
        cost = self.cost(r, counts)
        still = np.ones(len(p), bool)
        for _ in range(steps):
            rows = np.flatnonzero(still)
            w = self.weights(r[rows], counts[rows])
            weighted = J[rows] * w[..., None]
            H, g = weighted.swapaxes(-1, -2) @ J[rows], (weighted * r[rows][..., None]).sum(-2)
            diagonal = np.einsum("bii->bi", H) + 1e-12
            H = H + (damping[rows, None] * diagonal)[..., None] * np.eye(5)
            trial = p[rows] - np.clip(np.linalg.solve(H, g[..., None])[..., 0], -1, 1)
            new_r, new_J = self.residuals(trial)
            new_cost = self.cost(new_r, counts[rows])
            better = new_cost < cost[rows]
            gain = (cost[rows] - new_cost) / np.maximum(cost[rows], 1e-300)
            moved = rows[better]
            p[moved], r[moved], J[moved] = trial[better], new_r[better], new_J[better]
            cost[moved] = new_cost[better]
            damping[rows] = np.clip(np.where(better, damping[rows] / 5, damping[rows] * 5), 1e-9, 1e9)
            still[rows] = np.where(better, gain > 1e-9, damping[rows] < 1e8)
            if not still.any():
                break
        return p

    def constants(self, p: Array) -> dict[str, Array]:
        """The law's constants as published."""
        e, a, alpha, b, beta = np.moveaxis(p, -1, 0)
        A, B = np.exp(a + alpha * self.centre[0]), np.exp(b + beta * self.centre[1])
        return {"E": np.exp(e), "A": A, "alpha": alpha, "B": B, "beta": beta}


def projected(problem: Problem) -> Array:
    """The global least-squares minimum: exponents on a grid, E, A and B linear and not negative, then polished."""
    scale = 1.0 / problem.loss if problem.log else np.ones_like(problem.loss)

    def solve(exponents: Any) -> tuple[float, Array]:
        columns = [np.ones_like(problem.n), np.exp(-exponents[0] * problem.n), np.exp(-exponents[1] * problem.d)]
        linear, rest = nnls(np.stack(columns, axis=1) * scale[:, None], problem.loss * scale)
        return rest, linear

    grid = [(a, b) for a in np.arange(0.05, 1.5, 0.1) for b in np.arange(0.05, 1.5, 0.1)]
    start = min(grid, key=lambda x: solve(x)[0])
    found = minimize(
        lambda x: solve(x)[0] ** 2, start, method="Nelder-Mead", bounds=[(0.01, 3)] * 2, options={"xatol": 1e-6}
    )
    floor, of_n, of_d = np.maximum(solve(found.x)[1], 1e-6)
    return np.array([np.log(floor), np.log(of_n), found.x[0], np.log(of_d), found.x[1]])


def _bootstrap(table: pd.DataFrame, seed: int, *, log: bool, delta: float | None) -> dict[str, Any]:
    from peers import BUDGET, D_STAR, N_STAR

    problem, rows = Problem(table, log=log, delta=delta), len(table)
    # Huber's loss has no projection: it starts at the least-squares minimum and at the truth, and the better one counts
    starts = np.stack([projected(problem), *([truth_in(problem)] if delta is not None else [])])
    ends = problem.minima(starts, np.ones((len(starts), rows)), steps=1000)
    point = ends[np.argmin(problem.cost(problem.residuals(ends)[0], np.ones(rows)))]
    rng = np.random.default_rng((2026, seed))
    counts = rng.multinomial(rows, np.full(rows, 1 / rows), RESAMPLES).astype(float)
    draws = problem.minima(np.broadcast_to(point, (RESAMPLES, 5)), counts)
    residual = -problem.residuals(point)[0]
    found: dict[str, list[float]] = {}
    both = problem.constants(np.vstack([point, draws]))
    quantities = {n: both[n] for n in ("E", "alpha", "beta")}
    quantities["N_opt"] = optimum(BUDGET, both["A"], both["B"], both["alpha"], both["beta"])
    mean = both["E"] + both["A"] * N_STAR ** -both["alpha"] + both["B"] * D_STAR ** -both["beta"]
    quantities["L"] = mean
    noise = rng.choice(residual, len(mean))
    quantities["new_run"] = mean * np.exp(noise) if log else mean + noise
    for name, values in quantities.items():
        found[name] = [float(mean[0] if name == "new_run" else values[0]), *np.quantile(values[1:], [0.025, 0.975])]
    return {"intervals": found}


def truth_in(problem: Problem) -> Array:
    """The true constants as the problem states them."""
    n, d = problem.centre
    return np.array([np.log(E), np.log(A) - ALPHA * n, ALPHA, np.log(B) - BETA * d, BETA])


def huber_bootstrap(table: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Huber's loss of log residuals, 95 % percentile intervals of a pairs bootstrap."""
    return _bootstrap(table, seed, log=True, delta=DELTA)


def least_squares_bootstrap(table: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Exact least squares of the loss, 95 % percentile intervals of a pairs bootstrap (vpnls itself has none)."""
    return _bootstrap(table, seed, log=False, delta=None)
