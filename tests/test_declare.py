"""Settings from text: numbers, names and priors, and nothing that runs."""

from __future__ import annotations

import math

import numpyro.distributions as dist
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayescale.errors import UsageError
from bayescale.law.prior_text import distribution_text, parse_setting

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
        ("LogNorm(1, 2)", r"'LogNorm' is no class of NumPyro's distributions \(did you mean 'LogNormal'\?\)"),
        ("TruncatedNormal(1.7, 0.2)", "'TruncatedNormal' is no class of NumPyro's distributions"),
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


@pytest.mark.parametrize(
    "prior", [dist.LogNormal(0.1 + 0.2, 1 / 3), dist.Beta(2.0, 1.2), dist.Uniform(1.0, 2.0), dist.HalfNormal(0.1)]
)
def test_priors_survive_their_text(prior: dist.Distribution) -> None:
    again = parse_setting(distribution_text(prior), (), "E")
    assert distribution_text(again) == distribution_text(prior)
    assert distribution_text(dist.LogNormal(-1.2, 0.5)) == "LogNormal(loc=-1.2, scale=0.5)"
