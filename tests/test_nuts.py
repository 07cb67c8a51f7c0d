"""NUTS in one program: right draws, reproducible ones, and chains that can be continued."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest
from randomness import WITHIN, mean_error

from bayescale.posterior import nuts
from bayescale.posterior.diagnostics import r_hat

CONDITIONED, ADAPTIVE = (nuts.on_this_device(plan) for plan in (nuts.CONDITIONED, nuts.ADAPTIVE))


def frame_of(exact: Any, plan: nuts.Plan) -> nuts.Frame:
    if plan.adapt_metric:
        return nuts.Frame(np.zeros(2), np.eye(2), exact.target.as_they_are())
    return nuts.Frame(exact.mean, np.linalg.cholesky(exact.covariance), exact.target.as_they_are())


def chains(exact: Any, plan: nuts.Plan = CONDITIONED, seed: int = 0, count: int = 4) -> nuts.Chains:
    frame = frame_of(exact, plan)
    starts = exact.mean + np.random.default_rng(seed).standard_normal((count, 2)) * np.sqrt(np.diag(exact.covariance))
    return nuts.Chains(exact.target, plan, [nuts.Case(exact.data, frame, starts, 0.8, seed)])


@pytest.mark.parametrize("plan", [CONDITIONED, ADAPTIVE, dataclasses.replace(CONDITIONED, vectorised=True)])
def test_draws_are_of_the_posterior(exact: Any, plan: nuts.Plan) -> None:
    run, frame = chains(exact, plan), frame_of(exact, plan)
    run.advance([0], plan.warmup // nuts.CHUNK)[0]
    drawn = run.advance([0], 8)[0]
    z = frame.location + drawn.w @ frame.factor.T
    assert z.shape == (4, 8 * nuts.CHUNK, 2) and not drawn.diverging.any()
    for i in range(2):
        x = (z[..., i] - exact.mean[i]) / np.sqrt(exact.covariance[i, i])
        assert r_hat(x) < 1.01
        for values, true in ((x, 0.0), (x**2, 1.0), (x < 1.6449, 0.95)):
            assert abs(values.mean() - true) < WITHIN * mean_error(values)


def test_what_is_kept_of_a_transition(exact: Any) -> None:
    run, frame = chains(exact), frame_of(exact, CONDITIONED)
    run.advance([0], 1)[0]
    drawn = run.advance([0], 1)[0]
    assert {x.shape for x in drawn[1:]} == {(4, nuts.CHUNK)}
    z = frame.location + drawn.w @ frame.factor.T
    log_density = exact.target.evaluate(z.reshape(-1, 2), exact.data)[0].reshape(4, -1)
    assert drawn.log_density == pytest.approx(log_density, rel=1e-9)
    assert np.all(drawn.energy > -drawn.log_density - 1e-9) and np.all(drawn.steps >= 1)
    assert np.all(np.ptp(drawn.step_size, axis=1) == 0), "adaptation ends with warm-up"
    assert 0.7 < drawn.acceptance.mean() < 0.95


def test_chains_continue_where_they_stopped(exact: Any) -> None:
    once, twice = chains(exact), chains(exact)
    whole = once.advance([0], 3)[0]
    parts = [twice.advance([0], 1)[0], twice.advance([0], 2)[0]]
    for a, b in zip(whole, (np.concatenate(x, axis=1) for x in zip(*parts, strict=True)), strict=True):
        assert np.array_equal(a, b)


def test_seeds_and_chains_are_independent_streams(exact: Any) -> None:
    first, again, other = (chains(exact, CONDITIONED, seed).advance([0], 1)[0].w for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.any(first == other)
    assert len(np.unique(first[:, -1, 0])) == 4


def test_progress_is_told_of_every_transition(exact: Any) -> None:
    told: list[int] = []
    chains(exact).advance([0], 2, told.append)[0]
    assert sum(told) == 4 * 2 * nuts.CHUNK


def test_one_program_serves_every_table_of_a_size(exact: Any) -> None:
    nuts.prepare(exact.target, exact.data, CONDITIONED, 4)
    chains(exact).advance([0], 1)[0]
    program = exact.target.samplers[CONDITIONED]
    before = len(program.executables)
    shifted = exact._replace(data=exact.data._replace(observed=exact.data.observed * 1.1))
    chains(shifted, CONDITIONED, seed=3).advance([0], 1)[0]
    assert len(program.executables) == before


def test_float64_is_not_left_on() -> None:
    assert not jax.config.jax_enable_x64
