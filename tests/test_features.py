"""Kinds of inputs: what is said once of each holds from the table to the prediction."""

from __future__ import annotations

import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest

import bayescale as bs
from bayescale.fit import fit
from bayescale.law import Law, Param
from bayescale.posterior.data import centre_of, padded_inputs
from bayescale.runs.features import NUMBER, QUANTITY, SCHEDULE, encoded, feature_of, numeric

VALUES = {"N": np.array([1e7, 1e8]), "temperature": np.array([-1.0, 3.0]), "schedule": np.array(["0:0 9:1e-3"] * 2)}


@pytest.mark.parametrize("name", VALUES)
def test_every_kind_goes_the_whole_way(name: str) -> None:
    feature = feature_of(name)
    inputs = {"S": np.array([5.0, 9.0]), name: VALUES[name]}
    assert feature.read(name, VALUES[name]).tolist() == VALUES[name].tolist()
    assert encoded(inputs)[name].shape == (2, *feature.shape)
    assert np.isfinite(feature.middle(VALUES[name])) and numeric([name]) == feature.numeric
    filled = padded_inputs(inputs, 32, centre_of(inputs, "loss", np.ones(2)))
    assert filled[name].shape == (32, *feature.shape) and np.isfinite(filled[name]).all()


def test_kinds_and_their_middles() -> None:
    assert [feature_of(n) for n in ("N", "temperature", "schedule")] == [QUANTITY, NUMBER, SCHEDULE]
    assert QUANTITY.middle(np.array([1.0, 100.0])) == pytest.approx(10.0)
    assert NUMBER.middle(np.array([0.0, 4.0])) == 2.0 and NUMBER.middle(np.array([1.0, 100.0])) == pytest.approx(10.0)
    assert SCHEDULE.middle(VALUES["schedule"]) == pytest.approx(1e-3)
    with pytest.raises(bs.UsageError, match=r"N must be positive and finite; found 0\.0"):
        QUANTITY.read("N", [1e9, 0.0])
    with pytest.raises(bs.UsageError, match="temperature must be finite; found nan"):
        NUMBER.read("temperature", np.nan)


class Tempered(Law, register=False):
    """L(temperature) = exp(a + b temperature)

    A law of an input of its own.
    """

    a: Param = dist.Normal(0.0, 1.0)
    b: Param = dist.Normal(0.0, 1.0)

    def loss(self, temperature: float) -> float:
        """The loss."""
        import jax.numpy as jnp

        return jnp.exp(self.a + self.b * temperature)


def test_an_input_that_is_zero_or_negative() -> None:
    """One rule for table, centre and prediction."""
    t = np.linspace(-2.0, 2.0, 21)
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(21))
    found = fit(Tempered(), pd.DataFrame({"temperature": t, "loss": np.exp(0.5 - 0.2 * t) * noise}))
    assert found.converged and found.centre.temperature == pytest.approx(0.0, abs=1e-12)
    predicted = found.predict(temperature=[-3.0, 0.0])
    assert "decades_temperature" not in predicted
    curve = predicted[predicted["quantity"] == "mean_curve"]["median"]
    assert np.log(curve).to_numpy() == pytest.approx([1.1, 0.5], abs=0.05)
