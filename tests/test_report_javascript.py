"""The translation of laws to JavaScript, run under node and held against JAX."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from conftest import EVERY

from bayescale.catalogue import laws
from bayescale.law import Law, Param, evaluate
from bayescale.likelihood import StudentT
from bayescale.posterior.density import target_of
from bayescale.report.javascript import UntranslatableError, law_function

node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def source_of(law: Law) -> str:
    return law_function(SimpleNamespace(law=law, target=target_of(law, StudentT())), law.fields)  # type: ignore[arg-type]


def numbers_of(law: Law, rng: np.random.Generator) -> dict[str, float]:
    """Numbers for every constant: published ones, or any."""
    known = next(iter(type(law).published.values()), {})
    values = {n: float(known.get(n, v if isinstance(v, float) else rng.uniform(0.2, 0.8))) for n, v in law.items()}
    return values | {n: values[v] for n, v in law.items() if isinstance(v, str)}


def points_of(law: Law, rng: np.random.Generator) -> list[list[float]]:
    ranges = {"N": (7, 12), "D": (8, 13), "C": (18, 25), "S": (3, 6), "B": (4, 7), "U": (9, 12)}
    return [[float(10 ** rng.uniform(*ranges.get(n, (0.2, 0.6)))) for n in law.inputs] for _ in range(20)]


def run_node(source: str, constants: list[float], points: list[list[float]]) -> list[float]:
    script = f"const f = {source};\nconst [k, x] = {json.dumps([constants, points])};\n"
    script += "console.log(JSON.stringify(x.map((p) => f(k, ...p))));"
    done = subprocess.run(["node", "-e", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def agrees(law: Law) -> None:
    rng = np.random.default_rng(0)
    points = points_of(law, rng)
    inputs = {n: [p[i] for p in points] for i, n in enumerate(law.inputs)}
    for values in (numbers_of(law, rng) for _ in range(20)):  # some constants give a law no value at any point
        want = np.asarray(evaluate(law.replace(**values), **inputs))
        there = np.isfinite(want)
        if there.any():
            break
    assert there.any()
    got = run_node(source_of(law), [values[n] for n in law.fields], points)
    np.testing.assert_allclose(np.array(got, dtype=float)[there], want[there], rtol=1e-10)


@node
@pytest.mark.parametrize("name", EVERY)
def test_every_law_is_the_same_in_javascript(name: str) -> None:
    law = laws()[name]()
    try:
        source_of(law)
    except UntranslatableError as error:
        pytest.skip(f"{name} gets the page without a planner: {error}")
    agrees(law)


@pytest.mark.parametrize("name", ["chinchilla", "coupled", "kaplan_nd", "kaplan_nsb", "seed_max"])
def test_these_laws_are_translated(name: str) -> None:
    text = source_of(laws()[name]())
    assert text.startswith("function (k, x0, x1") and "return t" in text


FORMULAS: dict[str, Callable[[Any, Any], Any]] = {
    "where": lambda a, N: jnp.where(N > 1e9, a * jnp.log(N), jnp.maximum(a, jnp.sqrt(N))),
    "logistic": lambda a, N: jax.nn.sigmoid(a - 0.1 * jnp.log(N)) + jnp.tanh(a) + jnp.log1p(a) - jnp.expm1(-a),
    "array": lambda a, N: jnp.sum(jnp.array([1.0, 2.0, 3.0]) * N ** (-a * jnp.array([0.1, 0.2, 0.3]))),
    "index": lambda a, N: jnp.stack([a, jnp.log(N)])[1] ** 2 + jnp.concatenate([a[None], a[None] + 1.0]).max(),
    "loop": lambda a, N: jax.lax.while_loop(lambda s: s[0] < 5, lambda s: (s[0] + 1, s[1] / 2 + a / s[1]), (0, N))[1],
    "clipped": lambda a, N: jnp.clip(jnp.abs(a - 3) / N**0.01, 0.1, 2.0) + jnp.square(a) + jax.nn.softplus(a),
    "power": lambda a, N: a**3 + N**-2 + 1 / jnp.cbrt(N) + jnp.floor(a) + jnp.sign(a) * (jnp.isfinite(N) & (N != 2)),
}


@node
@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("name", FORMULAS)
def test_a_users_law_is_the_same_in_javascript(name: str) -> None:
    class Own(Law):
        """L(N)

        A test.
        """

        a: Param = dist.LogNormal(0.0, 1.0)

        def loss(self, N: Any) -> Any:
            return FORMULAS[name](jnp.asarray(self.a), N)

    agrees(Own())


@pytest.mark.usefixtures("registry")
def test_what_has_no_translation_is_named() -> None:
    class Sorted(Law):
        """L(N)

        A test.
        """

        a: Param = dist.LogNormal(0.0, 1.0)

        def loss(self, N: Any) -> Any:
            return jax.scipy.special.gammaln(self.a) + N

    with pytest.raises(UntranslatableError, match="its formula uses lgamma"):
        source_of(Sorted())


@pytest.mark.usefixtures("registry")
def test_names_of_a_law_are_no_code() -> None:
    """Inputs and constants are numbered, whatever they are called."""

    class Odd(Law):
        """L(alert)

        A test.
        """

        constructor: Param = dist.LogNormal(0.0, 1.0)

        def loss(self, alert: Any) -> Any:
            return self.constructor * alert

    assert source_of(Odd()).splitlines() == ["function (k, x0) {", "  const t1 = k[0] * x0;", "  return t1;", "}"]
