"""Shapes of curves of loss against data: limits, the equation that M4 solves, breaks, and a posterior of two modes."""

from __future__ import annotations

from typing import Any

import emcee
import jax
import numpy as np
import pandas as pd
import pytest
from independent import TWINS, Ensemble, Posterior
from randomness import WITHIN, mean_error

from bayescale.catalogue import laws
from bayescale.fit import fit
from bayescale.law import Centre, evaluate
from bayescale.likelihood import StudentT
from bayescale.models import BNSL, BNSL2, M3, M4, PowerLawD
from bayescale.posterior.data import centre_of, padded
from bayescale.posterior.density import target_of
from bayescale.runs import read_runs

D = np.geomspace(1e-3, 1e30, 34)
FAR = np.geomspace(1e8, 1e12, 40)


def slope(law: Any, at: float) -> float:
    """-d log(L - a) / d log D of a broken power law."""
    a, b = law(D=at / 1.001) - law.a, law(D=at * 1.001) - law.a
    return float(np.log(a / b) / np.log(1.001**2))


def test_m3_is_a_power_law_that_ends_at_its_floor() -> None:
    law = M3(beta=40.0, gamma=1e-9, c=0.15)
    few, many = np.array([1e2, 1e4]), np.array([1e14, 1e16])
    np.testing.assert_allclose(law(D=few), 40.0 * few**-0.15, rtol=1e-5)
    floor = 40.0 * 1e-9**0.15
    np.testing.assert_allclose(law(D=many) / floor - 1, 0.15 / (1e-9 * many), rtol=1e-4)
    assert law.replace(gamma=0.0)(D=1e9) == pytest.approx(40.0 * 1e9**-0.15)


@pytest.mark.parametrize("alpha", [1e-3, 0.05, 0.5, 1.0, 3.0, 20.0])
def test_m4_solves_its_equation(alpha: float) -> None:
    law = M4(eps_0=2.3, eps_inf=0.4, alpha=alpha, c=0.3, beta=300.0)
    loss = np.asarray(law(D=D))
    assert np.all((loss >= 0.4) & (loss <= 2.3)) and np.all(np.diff(loss) <= 0)
    inside = (loss > 0.4 + 1e-6) & (loss < 2.3 - 1e-6)
    assert inside.sum() > 5
    left = (loss[inside] - 0.4) / (2.3 - loss[inside]) ** alpha
    np.testing.assert_allclose(left, 300.0 / D[inside] ** 0.3, rtol=1e-8 * (1 + alpha))


def test_m4_of_alpha_one_in_closed_form_and_its_gradient() -> None:
    def closed(k: Any) -> Any:
        odds = k["beta"] * 1e7 ** -k["c"]
        return (k["eps_inf"] + k["eps_0"] * odds) / (1 + odds)

    def ours(k: Any) -> Any:
        return M4().drawn({**k, "alpha": 1.0}).loss(1e7)

    with jax.enable_x64(True):
        k = {"eps_0": 0.9, "eps_inf": 0.2, "c": 0.4, "beta": 500.0}
        assert float(ours(k)) == pytest.approx(float(closed(k)), rel=1e-12)
        here, there = jax.grad(ours)(k), jax.grad(closed)(k)
        for name in k:
            assert float(here[name]) == pytest.approx(float(there[name]), rel=1e-10), name


def test_m4_without_saturation_is_m2() -> None:
    m4 = M4(eps_0=50.0, eps_inf=1.7, alpha=0.0, c=0.28, beta=8e8**0.28)
    m2 = PowerLawD(L_inf=1.7, alpha=0.28, D_c=8e8)
    np.testing.assert_allclose(m4(D=FAR), m2(D=FAR), rtol=1e-8)
    assert m4(D=1.0) == pytest.approx(50.0)  # where M2 is far above the loss of a guess


def test_a_break_turns_one_slope_into_another() -> None:
    law = BNSL(a=0.5, c_0=0.1, c_1=0.3, d_1=1e9, f_1=0.3, b=20.0)
    assert slope(law, 1e5) == pytest.approx(0.1, abs=1e-6) and slope(law, 1e13) == pytest.approx(0.4, abs=1e-6)
    assert slope(law, 1e9) == pytest.approx(0.25, abs=1e-6)  # half way
    second = BNSL2(**dict(law.items()), c_2=-0.35, d_2=1e15, f_2=0.3)
    assert slope(second, 1e12) == pytest.approx(0.4, abs=1e-6) and slope(second, 1e20) == pytest.approx(0.05, abs=1e-6)


def test_laws_are_within_one_another() -> None:
    flat = BNSL(a=1.7, c_0=0.28, c_1=0.0, d_1=1e9, f_1=0.3, b=8e8**0.28)
    np.testing.assert_allclose(flat(D=FAR), PowerLawD(L_inf=1.7, alpha=0.28, D_c=8e8)(D=FAR), rtol=1e-12)
    one = flat.replace(c_1=0.2)
    two = BNSL2(**dict(one.items()), c_2=0.0, d_2=1e11, f_2=0.5)
    np.testing.assert_allclose(two(D=FAR), one(D=FAR), rtol=1e-12)


def prior_of(law: Any, loss: float = 0.4) -> tuple[dict[str, np.ndarray], Any, Centre]:
    """Prior draws of a law's constants, on rows of `FAR`."""
    target = target_of(law, StudentT())
    at = centre_of({"D": FAR}, "loss", np.full(len(FAR), loss))
    data = padded({"D": FAR}, np.full(len(FAR), loss), None, at, "loss")
    return target.constants_at(target.prior_draws(500, 0, data), data), target, at


def test_priors_say_what_they_are_of() -> None:
    k, target, at = prior_of(BNSL2())
    assert (k["d_2"] > k["d_1"]).all()
    for total in (k["c_0"], k["c_0"] + k["c_1"], k["c_0"] + k["c_1"] + k["c_2"]):
        assert total.mean() == pytest.approx(0.2, abs=0.06) and total.std() == pytest.approx(0.3, abs=0.05)
    reducible = np.asarray(target.curve(k, {"D": np.array([at.D])}))[:, 0] - k["a"]
    assert np.median(reducible / at.loss) == pytest.approx(0.3, rel=0.15)
    k, target, at = prior_of(M3())
    floor, value = k["beta"] * k["gamma"] ** k["c"], np.asarray(target.curve(k, {"D": np.array([at.D])}))[:, 0]
    assert np.mean(floor / value) == pytest.approx(2 / 3.2, abs=0.05)
    assert np.std(np.log(value / at.loss)) == pytest.approx(0.3, abs=0.04)


@pytest.mark.parametrize("eps_0", [0.9, 0.2])
def test_m4_with_the_loss_of_a_guess_pinned(eps_0: float) -> None:
    """Also where most rows are worse than a guess."""
    k, target, at = prior_of(M4(eps_0=eps_0))
    assert "eps_0" not in k and (k["eps_inf"] < min(eps_0, at.loss)).all()
    curve = np.asarray(target.curve(k, {"D": FAR}))
    assert np.isfinite(curve).all() and (curve <= eps_0 * (1 + 1e-12)).all()
    # the prior is of what the law would be without saturation
    odds = (curve[:, :1] - k["eps_inf"][:, None]) / (eps_0 - curve[:, :1])
    assert (odds > 0).all()


def test_none_of_them_is_compared_unasked() -> None:
    assert all(laws()[n].by_name_only for n in ("m3", "m4", "bnsl", "bnsl_2"))


@pytest.mark.slow
def test_error_rates_with_the_guess_pinned() -> None:
    """A column of another name is the loss; a thousand classes."""
    truth = M4(eps_0=0.999, eps_inf=0.15, alpha=0.6, c=0.35, beta=40.0)
    rng = np.random.default_rng(0)
    images = np.geomspace(1e3, 1e8, 25)
    rates = truth(D=images) * np.exp(0.01 * rng.standard_normal(25))
    table = pd.DataFrame({"images": images, "error_rate": rates})
    found = fit(M4(eps_0=0.999), read_runs(table, columns={"loss": "error_rate", "D": "images"}))
    assert found.converged
    summary = found.summary(0.99)
    for name in ("eps_inf", "alpha", "c"):
        assert summary.loc[name, "low"] < getattr(truth, name) < summary.loc[name, "high"], name


@pytest.mark.slow
def test_a_table_without_a_break_has_two_modes_and_the_right_posterior() -> None:
    """Against an ensemble that starts all over the prior, where a break may be before, after or among the rows."""
    rng = np.random.default_rng(2)
    rows = np.geomspace(1e6, 1e11, 24)
    loss = PowerLawD(L_inf=1.5, alpha=0.3, D_c=1e8)(D=rows) * np.exp(0.01 * rng.standard_normal(24))
    table = {"D": rows, "loss": loss}
    found = fit("bnsl", pd.DataFrame(table))
    if not found.converged:
        return  # which is an answer, too
    assert any("modes" in w for w in found.warnings)
    posterior = Posterior(TWINS["bnsl"], table)
    starts = rng.standard_normal((200_000, len(posterior.priors)))
    weight = posterior.log_posterior(starts) + 0.5 * (starts**2).sum(axis=1)
    kept = starts[np.argsort(-(0.02 * weight + rng.gumbel(size=len(weight))))[:128]]
    np.random.seed(0)  # noqa: NPY002  (emcee draws from NumPy's global state)
    moves = [(emcee.moves.DEMove(), 0.7), (emcee.moves.DEMove(gamma0=1.0), 0.1), (emcee.moves.StretchMove(), 0.2)]
    sampler = emcee.EnsembleSampler(128, kept.shape[1], posterior.log_posterior, vectorize=True, moves=moves)
    sampler.run_mcmc(kept, 14000)
    chain = sampler.get_chain(discard=4000, thin=10)
    theirs = posterior.constants(chain.reshape(-1, chain.shape[-1]))
    far = {"D": np.array([1e13])}
    theirs["curve"] = posterior.twin.curve({n: x[:, None] for n, x in theirs.items()}, far)[:, 0]
    ours = {**found.constants, "curve": found_curve(found, far)}
    for name in ("a", "c_0", "c_1", "d_1", "f_1", "curve"):
        for level in (0.1, 0.5, 0.9):
            cut = np.quantile(theirs[name], level)
            here, there = ours[name] < cut, (theirs[name] < cut).reshape(chain.shape[:2]).astype(float)
            error = np.hypot(mean_error(here), Ensemble.mean(there)[1])
            assert abs(here.mean() - level) < WITHIN * error and error < 0.03, (name, level, here.mean(), error)


def found_curve(found: Any, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """The mean curve at one point, of every draw, shape (chain, draw)."""
    flat = {n: x.reshape(-1) for n, x in found.constants.items()}
    return np.asarray(found.target.curve(flat, inputs))[:, 0].reshape(found.constants["a"].shape)


def test_evaluation_over_arrays() -> None:
    law = M4(eps_0=0.9, eps_inf=0.2, alpha=0.5, c=0.4, beta=500.0)
    both = np.asarray(evaluate(law, D=np.array([[1e3, 1e6], [1e9, 1e12]])))
    assert both.shape == (2, 2) and both[0, 1] == law(D=1e6)
