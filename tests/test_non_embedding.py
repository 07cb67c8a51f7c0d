"""Parameters with and without embeddings, and the Chinchilla law in those without."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.errors import UsageError
from bayescale.law import at_rows
from bayescale.models import Chinchilla, NonEmbedding
from bayescale.runs.embeddings import OMEGA

COMPILED = {name: jax.jit(functools.partial(at_rows, method=name)) for name in ("loss", "N_opt", "D_opt", "a")}
BESIROGLU = NonEmbedding(**NonEmbedding.published["Besiroglu et al. 2024"])


def values(law: NonEmbedding, name: str, **inputs: Any) -> np.ndarray:
    """A method of the law at points, compiled."""
    with jax.enable_x64(True):
        arrays = {n: np.asarray(x, float) for n, x in inputs.items()}
        return np.asarray(COMPILED[name](jax.tree.map(np.float64, law), arrays))


def test_conversions_are_inverse() -> None:
    N = np.geomspace(1e-3, 1e15, 200)
    np.testing.assert_allclose(bs.non_embedding_parameters(bs.total_parameters(N)), N, rtol=1e-12)
    omega = [1e3, 1e6]
    both = bs.non_embedding_parameters(bs.total_parameters(1e8, omega=omega), omega=omega)
    np.testing.assert_allclose(both, 1e8, rtol=1e-12)
    # 32000 tokens at the width and depth of 100 M parameters: 12 n_layer d^2 = 1e8, d = 39.2 n_layer
    width = (39.2 / 12 * 1e8) ** (1 / 3)
    assert bs.total_parameters(1e8, omega=bs.embedding_scale(32000)) == pytest.approx(1e8 + 32000 * width)
    # the source's fitted omega is that of its vocabulary to a part in a thousand
    assert bs.embedding_scale(32000) == pytest.approx(OMEGA, rel=1e-3)
    assert isinstance(bs.total_parameters(1e8), float)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bs.total_parameters(-1.0), r"N must be positive and finite; found -1\.0"),
        (lambda: bs.total_parameters(1e8, omega=0.0), r"omega must be positive and finite; found 0\.0"),
        (lambda: bs.non_embedding_parameters([1e9, np.inf]), "N_total must be positive and finite; found inf"),
        (lambda: bs.non_embedding_parameters("many"), "N_total must be a positive number .* not 'many'"),
        (lambda: bs.embedding_scale(32000, 0.0), r"aspect_ratio must be positive and finite; found 0\.0"),
    ],
)
def test_what_is_no_count_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call()


def test_the_law_is_chinchillas_in_total_parameters() -> None:
    whole = Chinchilla(**Chinchilla.published["Besiroglu et al. 2024"])
    N, D = np.geomspace(1e4, 1e12, 9), np.geomspace(1e13, 1e8, 9)
    np.testing.assert_allclose(BESIROGLU(N=N, D=D), whole(N=bs.total_parameters(N), D=D), rtol=1e-12)


@pytest.mark.parametrize(
    ("source", "slope", "limit"),
    [("Besiroglu et al. 2024", 0.794, 0.5126), ("Hoffmann et al. 2022", 0.758, 0.4565)],
)
def test_the_exponent_of_kaplan_follows_from_chinchillas_constants(source: str, slope: float, limit: float) -> None:
    """A straight line through the optima of Kaplan's sizes, 768 to 1.5e9 parameters, evenly in ln N."""
    law = NonEmbedding(**NonEmbedding.published[source])
    N = np.geomspace(768, 1.5e9, 400)
    C = 6 * N * values(law, "D_opt", N=N)
    assert np.polyfit(np.log(C), np.log(N), 1)[0] == pytest.approx(slope, abs=7e-4)
    # Kaplan et al. found .73
    np.testing.assert_allclose(values(law, "N_opt", C=C), N, rtol=1e-9)
    ends = values(law, "a", C=[1.0, 1e60])
    assert ends[0] == pytest.approx(law.beta / (law.beta + law.alpha / 3), abs=1e-3)
    assert ends[1] == pytest.approx(limit, abs=1e-4)


@pytest.mark.parametrize(
    ("law", "C"),
    [
        (BESIROGLU, np.geomspace(1e13, 1e26, 8)),
        (BESIROGLU.replace(alpha=0.6, beta=0.2, A=1e4, B=50.0), np.geomspace(1e15, 1e26, 8)),
        # exponents so small that a budget has two valleys, and the deeper one changes
        (NonEmbedding(E=1.0, A=3.0, alpha=0.05, B=2.1, beta=0.05), np.geomspace(1e14, 1e19, 24)),
    ],
)
def test_the_optimum_is_the_lowest_loss_of_a_budget(law: NonEmbedding, C: np.ndarray) -> None:
    found = values(law, "N_opt", C=C)
    grid = np.exp(np.linspace(0.0, np.log(C / 6), 4000))
    of_grid = values(law, "loss", N=grid.ravel(), D=np.ravel(C / 6 / grid)).reshape(grid.shape)
    lowest = values(law, "loss", N=found, D=C / 6 / found)
    assert (lowest <= of_grid.min(axis=0)).all()
    nearest = grid[of_grid.argmin(axis=0), np.arange(len(C))]
    np.testing.assert_allclose(np.log(found), np.log(nearest), atol=0.02)
    if law.beta == 0.05:
        assert np.max(found[1:] / found[:-1]) > 100  # the jump from one valley to the other


def test_the_exponent_is_the_slope_of_the_optimum() -> None:
    C = np.geomspace(1e12, 1e24, 13)
    up, down = (np.log(values(BESIROGLU, "N_opt", C=C * f)) for f in (1.001, 1 / 1.001))
    np.testing.assert_allclose(values(BESIROGLU, "a", C=C), (up - down) / 2 / np.log(1.001), rtol=1e-5)


def test_a_fit_allocates_by_the_laws_own_optimum() -> None:
    rng = np.random.default_rng(0)
    N, D = 10 ** rng.uniform(5, 9, 40), 10 ** rng.uniform(8, 11, 40)
    runs = pd.DataFrame({"N": N, "D": D, "loss": BESIROGLU(N=N, D=D) * np.exp(0.003 * rng.standard_normal(40))})
    found = bs.fit("chinchilla_non_embedding", runs, method="laplace")
    assert found.converged
    table = found.allocate(1e21).set_index("quantity")
    np.testing.assert_allclose(found.derive("N_opt", C=1e21)["median"], table.loc["N", "median"], rtol=1e-9)
    truth = float(values(BESIROGLU, "N_opt", C=[1e21])[0])
    assert table.loc["N", "low"] < truth < table.loc["N", "high"]
    assert set(type(found.law).quantities()) == {"D_opt", "N_opt", "a"}  # none of Chinchilla's constant exponents
