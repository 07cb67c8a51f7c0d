"""Settings from text: numbers, names and priors, and nothing that runs."""

from __future__ import annotations

import math

import numpy as np
import numpyro.distributions as dist
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpyro.distributions import constraints, transforms

from bayescale.errors import UsageError
from bayescale.law.prior_text import distribution_text, has_text, parse_setting

FIELDS = ("E", "A", "alpha")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1.69", 1.69),
        (" 70e9 ", 70e9),
        ("-1", -1.0),
        ("+2.5", 2.5),
        ("log(0.3)", math.log(0.3)),
        ("-log(2)", -math.log(2)),
    ],
)
def test_numbers(text: str, number: float) -> None:
    assert parse_setting(text, FIELDS, "E") == number


def test_names_tie() -> None:
    assert parse_setting(" alpha ", FIELDS, "E") == "alpha"


@pytest.mark.parametrize(
    ("text", "prior"),
    [
        ("LogNormal(-1.2, 0.5)", dist.LogNormal(-1.2, 0.5)),
        ("LogNormal(log(0.3), 0.5)", dist.LogNormal(math.log(0.3), 0.5)),
        ("Uniform(low=1, high=2)", dist.Uniform(1.0, 2.0)),
        ("StudentT(4, loc=1.7, scale=0.2)", dist.StudentT(4.0, 1.7, 0.2)),
        ("HalfNormal(1)", dist.HalfNormal(1.0)),
        ("TruncatedNormal(0.3, 0.1, low=0)", dist.TruncatedNormal(0.3, 0.1, low=0.0)),
        ("FoldedDistribution(Normal(0.3, 0.1))", dist.FoldedDistribution(dist.Normal(0.3, 0.1))),
    ],
)
def test_priors(text: str, prior: dist.Distribution) -> None:
    found = parse_setting(text, FIELDS, "E")
    assert type(found) is type(prior)
    assert float(found.log_prob(1.5)) == pytest.approx(float(prior.log_prob(1.5)), rel=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alhpa", r"E = 'alhpa' is not a number, .* prior such as LogNormal\(-1.2, 0.5\) \(did you mean 'alpha'\?\)"),
        ("LogNorm(1, 2)", r"'LogNorm' is no distribution of NumPyro \(did you mean 'LogNormal'\?\)"),
        ("TruncatedNormal(1.7, 0.2, low=2, high=1)", "is a prior of no numbers: none is between 2 and 1"),
        ("AffineTransform(0, 1)", "AffineTransform is no prior"),
        ("FoldedDistribution(1)", "FoldedDistribution does not take these numbers"),
        ("TruncatedDistribution(Gamma(1, 1), low=1)", "TruncatedDistribution does not take these numbers"),
        ("Delta(1)", "Delta is not a continuous prior of one number"),
        ("-" * 5000 + "1", "is not a number"),
        ("LogNormal(1, -2)", "LogNormal does not take these numbers"),
        ("LogNormal(1, 2, 3, 4)", "LogNormal does not take these numbers"),
        ("LogNormal(mu=1)", "LogNormal does not take these numbers"),
        ("Poisson(3)", "Poisson is not a continuous prior of one number"),
        ("LogNormal('x', 1)", "is not a number"),
        ("dist.LogNormal(0, 1)", "a prior is written as its name and numbers"),
        ("log(-1)", "is not a number"),
        ("1 +", "is not a number"),
        ("1 + 1", "is not a number"),
        ("True", "is not a number"),
        ("", "is not a number"),
        ("[1, 2]", "is not a number"),
        ("lambda: 1", "is not a number"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_setting(text, FIELDS, "E")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch {0}')",
        "open('{0}', 'w')",
        "LogNormal(open('{0}', 'w'), 1)",
        "LogNormal(**open('{0}', 'w'))",
        "(lambda: open('{0}', 'w'))()",
        "Delta(log_density=__import__('pathlib').Path('{0}').touch())",
    ],
)
def test_nothing_is_executed(text: str, tmp_path: object) -> None:
    mark = f"{tmp_path}/mark"
    with pytest.raises(UsageError, match="E = "):
        parse_setting(text.format(mark), FIELDS, "E")
    with pytest.raises(FileNotFoundError, match="mark"):
        open(mark)


@given(st.text(max_size=40))
def test_any_text_is_a_setting_or_a_usage_error(text: str) -> None:
    try:
        value = parse_setting(text, FIELDS, "E")
    except UsageError as error:
        assert str(error).startswith("E = ")
    else:
        assert isinstance(value, float | str | dist.Distribution)


SHORT = {
    "LogNormal(loc=-1.2, scale=0.5)": dist.LogNormal(-1.2, 0.5),
    "LogNormal(loc=0.30000000000000004, scale=0.3333333333333333)": dist.LogNormal(0.1 + 0.2, 1 / 3),
    "LogNormal(loc=0.10000000149011612, scale=1.0)": dist.LogNormal(np.float32(0.1), 1),
    "Beta(concentration1=2.0, concentration0=1.2)": dist.Beta(2.0, 1.2),
    "TruncatedNormal(loc=0.3, scale=0.1, low=0.0)": dist.TruncatedNormal(0.3, 0.1, low=0),
    "TruncatedNormal(loc=0.3, scale=0.1, high=1.0)": dist.TruncatedNormal(0.3, 0.1, high=1.0),
    "TruncatedCauchy(loc=0.3, scale=0.1, low=0.0, high=2.0)": dist.TruncatedCauchy(0.3, 0.1, low=0, high=2),
    "TruncatedGamma(concentration=2.0, rate=1.0, low=1.0)": dist.TruncatedGamma(2.0, 1.0, low=1.0),
    "LeftTruncatedDistribution(base_dist=StudentT(df=4.0, loc=0.0, scale=1.0), low=0.0)": dist.TruncatedDistribution(
        dist.StudentT(4.0), low=0.0
    ),
    "FoldedDistribution(base_dist=Normal(loc=0.3, scale=0.1))": dist.FoldedDistribution(dist.Normal(0.3, 0.1)),
    "TransformedDistribution(base_distribution=Normal(loc=0.0, scale=1.0), "
    "transforms=[AffineTransform(loc=1.0, scale=2.0), ExpTransform()])": dist.TransformedDistribution(
        dist.Normal(0.0, 1.0), [transforms.AffineTransform(1.0, 2.0), transforms.ExpTransform()]
    ),
}


@pytest.mark.parametrize("text", SHORT)
def test_priors_survive_their_text(text: str) -> None:
    prior = SHORT[text]
    assert distribution_text(prior) == text and has_text(prior)
    again = parse_setting(text, (), "E")
    assert type(again) is type(prior) and again.support == prior.support
    x = np.linspace(1.0, 1.9, 9) if "Gamma" in text else np.linspace(0.1, 0.9, 9)
    assert np.array_equal(again.log_prob(x), prior.log_prob(x))


class Own(dist.LogNormal):  # type: ignore[misc]
    """A prior of a user's."""


@pytest.mark.parametrize(
    ("prior", "text"),
    [
        (Own(0.0, 1.0), "Own(loc=0.0, scale=1.0, ...)"),
        (dist.ImproperUniform(constraints.real, (), ()), "ImproperUniform(...)"),
        (dist.Normal(0.0, 1.0).mask(False), "MaskedDistribution(base_dist=Normal(loc=0.0, scale=1.0), ...)"),
        (
            dist.TransformedDistribution(
                dist.HalfNormal(1.0), transforms.AffineTransform(1.0, 2.0, domain=constraints.positive)
            ),
            "TransformedDistribution(base_distribution=HalfNormal(scale=1.0), "
            "transforms=[AffineTransform(loc=1.0, scale=2.0)], ...)",
        ),
    ],
)
def test_a_text_that_does_not_make_the_prior_says_so(prior: dist.Distribution, text: str) -> None:
    assert distribution_text(prior) == text and not has_text(prior)
