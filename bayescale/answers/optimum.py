"""The least loss a budget buys, within a deployment's limits: closed forms and one-dimensional searches."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple, TypeAlias, TypedDict

import jax
import jax.numpy as jnp
import numpy as np

from bayescale.answers.predict import filled_blocks
from bayescale.arrays import Numbers
from bayescale.compiled import Program
from bayescale.errors import DataError, UsageError, did_you_mean, in_words
from bayescale.law import FLOPS_PER_PARAMETER_TOKEN, AnyLaw
from bayescale.law.labels import coded
from bayescale.law.own_code import users_code
from bayescale.posterior.density import Target
from bayescale.posterior.posterior import Posterior
from bayescale.runs.cost import Cost, CostLike, cost_from
from bayescale.runs.inputs import checked_inputs

FLOPS_PER_PARAMETER_SERVED = 2
"""A forward pass: FLOPs a parameter and token served (Kaplan et al. 2020, section 2.1)."""

GRID = 64
GOLDEN = 0.5 * (5**0.5 - 1)
LOG_C_RANGE = (np.log(1e6), np.log(1e45))
"""Where the compute for a target loss is looked for, FLOPs."""


class Terms(TypedDict, total=False):
    """What a budget also has to pay for and keep to; all may be left out.

    Beside them stand, by name, the law's inputs other than N and D, ``U=1e11``, and groups of a fit with `pool`,
    ``corpus="c4"``.

    inference_tokens : float
        Tokens to be served over the model's life. The budget then is the total of training and of serving them,
        2N a token (Sardana et al. 2024, arXiv:2401.00448, eq. 2).
    inference_cost : float
        What a FLOP of serving costs, in FLOPs of training; default 1. Sardana's section 3: the ratio of training's
        to serving's FLOP utilisation, times that of their prices.
    max_N, max_D : float
        Parameters and tokens at most. Where both bind, part of the budget stays unspent.
    cost : str or Cost
        What training costs, '9*N*D' or '7.2*N^0.98*D' FLOPs; by default what the fitted table's C says, else 6ND.
    """

    inference_tokens: float
    inference_cost: float
    max_N: float
    max_D: float
    cost: CostLike


Term: TypeAlias = "Numbers | CostLike"
"""What may be said of an allocation by name: a term, the value of another input, a group's name."""

Optimum: TypeAlias = tuple[jax.Array, jax.Array, jax.Array, jax.Array]
"""N, D and the loss there, and whether it lies at an end of what was searched, so that there is none."""


class Limits(NamedTuple):
    """`Deployment` as numbers that a compiled search takes."""

    serving: Any
    """What serving costs a parameter, FLOPs of training."""
    max_N: Any
    max_D: Any
    fixed: dict[str, Any]


@dataclass(frozen=True)
class Deployment:
    """Checked `Terms`, and what is held: values of the law's other inputs, and codes of groups."""

    inference_tokens: float = 0.0
    inference_cost: float = 1.0
    max_N: float = np.inf
    max_D: float = np.inf
    fixed: Mapping[str, float] = field(default_factory=dict)
    training: Cost = field(default_factory=Cost)

    def __post_init__(self) -> None:
        for name in ("inference_tokens", "inference_cost", "max_N", "max_D"):
            value = getattr(self, name)
            least = 1.0 if name.startswith("max") else 0.0
            if isinstance(value, str) or not np.ndim(value) == 0 or not float(value) >= least:
                raise UsageError(f"{name} must be one number from {least:g} up, not {value!r}")
        if not (np.isfinite(self.inference_tokens) and np.isfinite(self.inference_cost)):
            raise UsageError("inference_tokens and inference_cost must be finite")

    @property
    def free(self) -> bool:
        """Whether training is all there is to pay, without limits."""
        return self.serving == 0 and np.isinf(self.max_N) and np.isinf(self.max_D)

    @property
    def serving(self) -> float:
        """What serving costs a parameter, FLOPs of training."""
        return FLOPS_PER_PARAMETER_SERVED * self.inference_tokens * self.inference_cost

    @property
    def limits(self) -> Limits:
        """The numbers, float64."""
        fixed = {n: np.float64(x) for n, x in self.fixed.items()}
        return Limits(np.float64(self.serving), np.float64(self.max_N), np.float64(self.max_D), fixed)

    def cost(self, N: np.ndarray, D: np.ndarray) -> Any:
        """What training N parameters on D tokens and serving them costs, FLOPs of training."""
        return self.training.flops(N, D) + self.serving * N

    def tokens(self, C: np.ndarray, N: np.ndarray) -> Any:
        """The tokens that a budget leaves for training N parameters, `max_D` at most."""
        return np.minimum(self.training.tokens(C, N, self.serving), self.max_D)


FREE = Deployment()


def deployment_for(law: AnyLaw, terms: Mapping[str, Term], cost: Cost | None = None) -> Deployment:
    """Check a law, the terms of its allocation, and what it holds; of each column of groups it takes one at most.

    `cost` is what training costs where the terms do not say.

    Raises
    ------
    UsageError
        The law has no allocation between N and D, one of its other inputs is not given, or a term is unknown or
        out of its range.
    """
    if not {"N", "D"} <= set(law.inputs) or "C" in law.inputs or law.metric != "loss":
        raise UsageError(
            f"law {law.name} predicts {law.metric} from {', '.join(law.inputs)}: it has no split of C between N and D "
            "(laws of N and D have one, such as chinchilla)"
        )
    rest = tuple(n for n in law.inputs if n not in ("N", "D"))
    takes = (*Terms.__annotations__, *rest, *law.columns)
    if unknown := sorted(set(terms) - set(takes)):
        raise UsageError(
            f"allocate by law {law.name} has no option {unknown[0]!r}{did_you_mean(unknown[0], takes)}; "
            f"it has {', '.join(takes)}"
        )
    options: dict[str, Any] = {n: x for n, x in terms.items() if n in Terms.__annotations__}
    training = cost_from(options.pop("cost", None)) or cost or Cost()
    given, codes = coded(law, {n: x for n, x in terms.items() if n not in Terms.__annotations__})
    for name in rest:
        if name not in given:
            raise UsageError(f"law {law.name} also needs {name}: " + in_words(f"give {name}=...", f"--at {name}=..."))
    held = checked_inputs(law.name, rest, given) | codes
    if several := [n for n, x in held.items() if x.size != 1]:
        raise UsageError(f"allocate holds one value of {several[0]}, not {held[several[0]].size}")
    return replace(Deployment(**options), fixed={n: x.item() for n, x in held.items()}, training=training)


def optimum_draws(
    fit: Posterior, C: np.ndarray, deployment: Deployment = FREE, *, closed_form: bool | None = None
) -> dict[str, np.ndarray]:
    """The optimum at every thinned draw; see `optimum_at`."""
    return optimum_at(fit.target, fit.thinned(), C, deployment, closed_form=closed_form)


def optimum_at(
    target: Target,
    constants: Mapping[str, np.ndarray],
    C: np.ndarray,
    deployment: Deployment = FREE,
    *,
    closed_form: bool | None = None,
) -> dict[str, np.ndarray]:
    """The optimum at draws of a law's constants, shape (draw, budget) each: N, D, tokens_per_parameter, loss.

    With limits or serving also training_flops and inference_flops. NaN at draws whose loss has no interior
    minimum: it falls all the way to a model of one parameter or one token.

    Parameters
    ----------
    target : Target
    constants : mapping
        Draws of each constant, shape (draw,).
    C : ndarray, shape (budget,)
        Budgets: FLOPs of training, those of serving among them.
    closed_form : bool, optional
        Use the law's own `optimum` (default: where it has one and nothing limits it) or the numeric minimum.

    Raises
    ------
    DataError
        The loss has no interior minimum at any draw, or a budget does not pay for serving a single parameter.
    """
    closed = _has_closed_form(target.law, deployment) if closed_form is None else closed_form
    if poor := [c for c in C if c <= deployment.training.k + deployment.serving]:
        raise DataError(
            f"a budget of {poor[0]:.3g} FLOPs does not pay for serving {deployment.inference_tokens:.3g} tokens "
            "with any model; ask for a larger one"
        )
    program = _program(target, "closed" if closed else "numeric", deployment)
    blocks = [
        [np.asarray(x)[:, :size] for x in program(constants, filled["C"], deployment.limits)]
        for filled, size in filled_blocks({"C": C})
    ]
    N, D, loss, edge = (np.concatenate(x, axis=1) for x in zip(*blocks, strict=True))
    if (nowhere := edge.all(axis=0)).any():
        raise DataError(
            f"law {target.law.name} has no interior optimum at {C[nowhere][0]:.3g} FLOPs in any draw: its loss falls "
            "all the way to a model of one parameter or one token"
        )
    N, D, loss = (np.where(edge, np.nan, x) for x in (N, D, loss))
    return {"N": N, "D": D, "tokens_per_parameter": D / N, "loss": loss, **spent(N, D, deployment)}


def spent(N: np.ndarray, D: np.ndarray, deployment: Deployment) -> dict[str, np.ndarray]:
    """FLOPs of training and of serving, where a deployment makes them differ from the budget."""
    if deployment.free:
        return {}
    found = {"training_flops": deployment.training.flops(N, D)}
    if deployment.inference_tokens:
        found["inference_flops"] = FLOPS_PER_PARAMETER_SERVED * deployment.inference_tokens * N
    return found


def least_compute(fit: Posterior, loss: np.ndarray, deployment: Deployment = FREE) -> np.ndarray:
    """The least budget that reaches a loss at every draw, shapes (draw, point); infinite where none does."""
    program = _program(fit.target, "inverse", deployment)
    columns = [loss[:, i : i + 1] for i in range(loss.shape[1])]
    return np.concatenate([np.asarray(program(fit.thinned(), c, deployment.limits)) for c in columns], axis=1)


def optimum_of_each(
    target: Target, constants: Mapping[str, np.ndarray], C: np.ndarray, deployment: Deployment = FREE
) -> tuple[np.ndarray, np.ndarray]:
    """N and D of every draw's own budget, shape (draw,) each; where a budget is infinite they mean nothing."""
    known = np.where(np.isfinite(C), C, np.exp(LOG_C_RANGE[1]))
    N, D, _, _ = _program(target, "each", deployment)(constants, known[:, None], deployment.limits)
    return np.asarray(N)[:, 0], np.asarray(D)[:, 0]


def _has_closed_form(law: AnyLaw, deployment: Deployment) -> bool:
    find = getattr(type(law.law), "optimum", None)
    plain = deployment.free and deployment.training.linear
    if find is None or not plain or any(f.bends for f in law.latent):
        return False
    return set(inspect.signature(find).parameters) - {"self", "C"} == set(law.inputs) - {"N", "D"}


def _program(target: Target, kind: str, deployment: Deployment = FREE) -> Callable[..., Any]:
    """A compiled search over draws; kept with the law's other programs."""
    closed = kind == "closed" or (kind != "numeric" and _has_closed_form(target.law, deployment))
    programs, cost = target.quantities, deployment.training
    counted = "" if cost.usual else f"/{cost.k}/{cost.a}/{cost.b}"
    if (key := f"allocate/{kind}/{'closed' if closed else 'numeric'}{counted}") not in programs:
        find = partial(_closed if closed else _numeric, cost=cost)

        def of_budgets(constants: Mapping[str, jax.Array], C: jax.Array, limits: Limits) -> Any:
            return jax.vmap(lambda c: find(target.law_at(constants), c, limits))(C)

        def of_losses(constants: Mapping[str, jax.Array], loss: jax.Array, limits: Limits) -> Any:
            return jax.vmap(lambda x: _inverse(find, target.law_at(constants), x, limits))(loss)

        search = of_losses if kind == "inverse" else of_budgets
        shared = kind in ("closed", "numeric")
        programs[key] = Program(jax.vmap(search, in_axes=(0, None if shared else 0, None)))
    return programs[key]


def _closed(law: Any, C: jax.Array, limits: Limits, cost: Cost) -> Optimum:
    codes = {n: x for n, x in limits.fixed.items() if n in law.columns}
    of_law = {n: x for n, x in limits.fixed.items() if n not in codes}
    with users_code(law.law.name, "optimum"):
        at_6ND = C if cost.usual else C * (FLOPS_PER_PARAMETER_TOKEN / cost.k)
        best = (law.member(codes) if law.latent else law).optimum(at_6ND, **of_law)
        best = {n: best[n] for n in ("N", "D")}
    loss = law.at(N=best["N"], D=best["D"], **limits.fixed)
    return best["N"], best["D"], loss, jnp.isnan(best["N"])


def _numeric(law: AnyLaw, C: jax.Array, limits: Limits, cost: Cost = Cost()) -> Optimum:  # noqa: B008
    """Minimise over log N: a grid brackets the lowest valley, golden section finds its floor."""

    def tokens(N: jax.Array) -> jax.Array:
        return jnp.minimum(cost.tokens(C, N, limits.serving), limits.max_D)

    def loss(u: jax.Array) -> Any:
        N = jnp.exp(u)
        return law.at(N=N, D=tokens(N), **limits.fixed)

    affordable = jnp.log(cost.most_parameters(C, limits.serving))
    top = jnp.minimum(affordable, jnp.log(limits.max_N))
    grid = jnp.linspace(0.0, top, GRID)
    values = jax.vmap(loss)(grid)
    best = jnp.argmin(jnp.where(jnp.isfinite(values), values, jnp.inf))
    edge = (best == 0) | ((best == GRID - 1) & (affordable <= jnp.log(limits.max_N)))
    low, high = grid[jnp.maximum(best - 1, 0)], grid[jnp.minimum(best + 1, GRID - 1)]

    def narrow(_: jax.Array, state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        low, left, right, high, at_left, at_right = state
        to_left = at_left < at_right
        low, high = jnp.where(to_left, low, left), jnp.where(to_left, right, high)
        new = jnp.where(to_left, high - GOLDEN * (high - low), low + GOLDEN * (high - low))
        value = loss(new)
        left, right = jnp.where(to_left, new, right), jnp.where(to_left, left, new)
        at_left, at_right = jnp.where(to_left, value, at_right), jnp.where(to_left, at_left, value)
        return low, left, right, high, at_left, at_right

    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    low, _, _, high, _, _ = jax.lax.fori_loop(0, 40, narrow, (low, left, right, high, loss(left), loss(right)))
    middle = (low + high) / 2
    N = jnp.exp(middle)
    return N, tokens(N), loss(middle), edge


def _inverse(find: Callable[..., Optimum], law: AnyLaw, target: jax.Array, limits: Limits) -> jax.Array:
    """The least budget that reaches a target loss; infinite where none does."""

    def halve(_: jax.Array, bracket: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = bracket
        middle = (low + high) / 2
        enough = find(law, jnp.exp(middle), limits)[2] <= target
        return jnp.where(enough, low, middle), jnp.where(enough, middle, high)

    _, high = jax.lax.fori_loop(0, 45, halve, LOG_C_RANGE)
    reachable = find(law, jnp.exp(LOG_C_RANGE[1]), limits)[2] <= target
    return jnp.where(reachable, jnp.exp(high), jnp.inf)
