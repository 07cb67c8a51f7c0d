"""Laws: declared in a few lines, found by name, evaluated anywhere, and all held to the same standard."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import pytest
from conftest import CENTRES, SHIPPED
from numpyro import handlers

from bayescale.catalogue import law_from, laws
from bayescale.errors import UsageError
from bayescale.fit import fit
from bayescale.law import PF_DAY, Centre, Law, Param, derived, evaluate, setting_text, stated
from bayescale.likelihood import StudentT
from bayescale.models import (
    Chinchilla,
    ChinchillaTied,
    DataConstrained,
    Frontier,
    KaplanC,
    KaplanCmin,
    KaplanD,
    KaplanN,
    KaplanND,
    PowerLawN,
)
from bayescale.posterior.data import centre_of, padded
from bayescale.posterior.density import Target
from bayescale.runs.inputs import checked_inputs

pytestmark = pytest.mark.usefixtures("registry")


def published(cls: type[Law], which: int = 0) -> Any:
    return cls(**list(cls.published.values())[which])


# --- the registry -------------------------------------------------------------------------------------------------


def test_the_laws_that_ship() -> None:
    assert list(laws()) == sorted(laws())
    assert set(SHIPPED) >= {
        "chinchilla", "kaplan_c", "kaplan_cmin", "kaplan_d", "kaplan_e", "kaplan_n", "kaplan_nd",
        "power_law_c", "power_law_d", "power_law_n",
    }  # fmt: skip


def test_a_law_is_found_by_name_class_or_itself() -> None:
    law = Chinchilla(E=1.69)
    assert law_from(law) is law
    assert type(law_from("chinchilla")) is type(law_from(Chinchilla)) is Chinchilla
    with pytest.raises(
        UsageError, match=r"there is no law 'chinchila' \(did you mean 'chinchilla'\?\); `bayescale laws` lists them"
    ):
        law_from("chinchila")
    with pytest.raises(UsageError, match=r"or as 'file.py:Name', not as int"):
        law_from(3)


def test_a_name_that_ships_cannot_be_taken() -> None:
    with pytest.raises(
        UsageError, match="'chinchilla' is the name of a law that ships; call the class Chinchilla something else"
    ):

        class Chinchilla(Law):
            """L(N) = 1"""

            E: Param = dist.HalfNormal(1.0)

            def loss(self, N: Any) -> Any:
                return self.E


def test_a_law_in_a_file(own_law: Path) -> None:
    found = law_from(f"{own_law}:Line")
    assert found.name == "line" and found.fields == ("k", "m") and found.inputs == ("N",)
    assert found.formula() == "L(N) = k + m/log(N)" and found.source() == "A test."
    assert type(law_from(f"{own_law}:line")).__name__ == type(law_from(str(own_law))).__name__ == "Line"
    with pytest.raises(UsageError, match=r"own.py declares Line, line; write .*own.py:NAME with one of them"):
        law_from(f"{own_law}:Lime")
    with pytest.raises(UsageError, match=r"there is no file 'nowhere.py' to read a law from"):
        law_from("nowhere.py:Line")
    own_law.write_text("1/0", encoding="utf-8")
    with pytest.raises(UsageError, match=r"own.py cannot be read as a law: ZeroDivisionError: division by zero"):
        law_from(f"{own_law}:Line")
    own_law.write_text("x = 1", encoding="utf-8")
    with pytest.raises(UsageError, match=r"own.py declares no law"):
        law_from(f"{own_law}:Line")


# --- declaring ----------------------------------------------------------------------------------------------------


def test_what_a_declaration_says() -> None:
    class Test2Law(Law):
        """L(x, y) = k x^-p + y

        Nobody et al. 1900,
        somewhere.

        A remark.
        """

        k: Param = dist.HalfNormal(1.0)
        p: Param = 0.5

        def loss(self, x: Any, y: Any) -> Any:
            return self.k * x**-self.p + y

        @derived
        def twice(self, x: Any) -> Any:
            return 2 * x * self.k

        @derived
        def half(self) -> Any:
            return self.k / 2

    assert Test2Law.name == "test2_law" and laws()["test2_law"] is Test2Law
    assert Test2Law.fields == ("k", "p") and Test2Law.inputs == ("x", "y")
    assert Test2Law.formula() == "L(x, y) = k x^-p + y"
    assert Test2Law.source() == "Nobody et al. 1900, somewhere." and Test2Law.remarks() == ["A remark."]
    assert Test2Law.quantities() == {"half": (), "twice": ("x",)}
    assert Test2Law().free == ("k",) and Test2Law(k=1).free == ()
    assert evaluate(Test2Law(k=3.0), "twice", x=[1.0, 2.0]).tolist() == [6.0, 12.0]
    assert float(evaluate(Test2Law(k=3.0), "half")) == 1.5


def test_a_law_of_another_metric() -> None:
    class Accuracy(Law):
        """error(N) = k N^-p"""

        metric = "error"
        k: Param = 0.5
        p: Param = 0.5

        def error(self, N: Any) -> Any:
            return self.k * N**-self.p

    assert Accuracy()(N=4.0) == 0.25 and Accuracy.inputs == ("N",)


def test_a_declaration_that_lacks_something_is_refused() -> None:
    with pytest.raises(UsageError, match=r"law Bare: b has no prior; write `b: Param = <prior>`"):

        class Bare(Law):
            a: Param = 1.0
            b: Param

            def loss(self, N: Any) -> Any:
                return self.a

    with pytest.raises(UsageError, match="law Mute predicts 'loss' but has no method of that name"):

        class Mute(Law):
            a: Param = 1.0


# --- constants ----------------------------------------------------------------------------------------------------


def test_a_misspelt_constant_gets_a_hint() -> None:
    wanted = (
        r"law chinchilla has no constant 'alhpa' \(did you mean 'alpha'\?\); its constants are E, A, alpha, B, beta"
    )
    with pytest.raises(UsageError, match=wanted):
        Chinchilla(alhpa=0.3)
    with pytest.raises(UsageError, match=wanted):
        Chinchilla().replace(alhpa=0.3)


def test_pin_tie_and_replace() -> None:
    law = Chinchilla(E=1.69, beta="alpha", alpha="LogNormal(-1.2, 0.5)")
    assert law.free == ("A", "alpha", "B") and law.E == 1.69
    assert law.alpha.loc == -1.2 and law.alpha.scale == 0.5
    assert repr(law) == "Chinchilla(E=1.69, alpha=LogNormal(loc=-1.2, scale=0.5), beta=alpha)"
    with handlers.seed(rng_seed=0):
        drawn = law.sample(Centre(CENTRES))
    assert drawn.beta is drawn.alpha and drawn.E == 1.69
    freed = law.replace(E=dist.Uniform(1.0, 2.0), beta=0.3)
    assert freed.free == ("E", "A", "alpha", "B") and law.E == 1.69
    with pytest.raises(AttributeError, match=r"laws are immutable; use law.replace\(E=...\)"):
        law.E = 2.0


def test_what_a_constant_cannot_be() -> None:
    with pytest.raises(
        UsageError, match="law chinchilla: alpha = beta = alpha is a circle; pin one or give it a prior"
    ):
        Chinchilla(alpha="beta", beta="alpha")
    with pytest.raises(UsageError, match=r"chinchilla.E must be finite, not inf"):
        Chinchilla(E=math.inf)
    with pytest.raises(
        UsageError, match=r"chinchilla.E must be a prior, a number or another constant's name, not True"
    ):
        Chinchilla(E=True)
    for wrong in ([1.5, 2.0], None, np.bool_(True), {"E": 1.0}):
        with pytest.raises(UsageError, match=r"chinchilla.E must be a prior, a number or another constant's name"):
            Chinchilla(E=wrong)
    for prior in (dist.Poisson(3.0), dist.Normal(np.zeros(3), 1.0), dist.Delta(1.0)):
        with pytest.raises(UsageError, match=r"chinchilla.E = \w+\(.*\) is not a continuous prior of one number"):
            Chinchilla(E=prior)
    with pytest.raises(UsageError, match=r"chinchilla.A = .* is a prior of no numbers: none is between 2 and 1"):
        Chinchilla(A=stated("A", dist.TruncatedNormal(low=2.0, high=1.0), lambda q, law, at: q))
    with pytest.raises(
        UsageError, match=r"chinchilla.E = 'gamma' is not a number, another constant's name, or a prior"
    ):
        Chinchilla(E="gamma")


@pytest.mark.parametrize("number", [np.float32(1.5), np.float64(1.5), np.array(1.5), jnp.asarray(1.5), Fraction(3, 2)])
def test_any_number_pins(number: Any) -> None:
    law = Chinchilla(E=number, A=np.int64(400), B=np.array(7))
    assert law.free == ("alpha", "beta") and [type(x) for x in (law.E, law.A, law.B)] == [float] * 3
    draws = np.array([1.5, 1.6])
    assert Chinchilla(E=draws).E is draws


def test_settings_as_text() -> None:
    law = Chinchilla(E=1.69, beta="alpha")
    assert [setting_text(v) for _, v in law.items()] == [
        "1.69", "A / N0^alpha / L0 ~ LogNormal(loc=-1.89712, scale=0.8)", "LogNormal(loc=-1.20397, scale=0.5)",
        "B / D0^beta / L0 ~ LogNormal(loc=-1.89712, scale=0.8)", "alpha",
    ]  # fmt: skip


# --- what users write -----------------------------------------------------------------------------------------------


def users_law(formula: Any, **rest: Any) -> Any:
    """A law of one's own with such a formula of (law, N), unregistered."""

    class Mine(Law, register=False):
        k: Param = dist.LogNormal(0.0, 1.0)
        m: Param = rest.pop("m", dist.LogNormal(0.0, 1.0))

        def loss(self, N: Any) -> Any:
            return formula(self, N)

        @derived
        def odd(self) -> Any:
            return math.log(self.k)

    for name, value in rest.items():
        setattr(Mine, name, value)
    return Mine


PLAIN = r"loss of law mine uses what takes plain numbers only, such as math, numpy or an if; use jax.numpy there"
USERS = {
    "math.log": (lambda law, N: law.k + law.m / math.log(N), PLAIN),
    "numpy": (lambda law, N: law.k + law.m / np.log(N), PLAIN),
    "float": (lambda law, N: law.k + float(N), PLAIN),
    "if": (lambda law, N: law.k if N > 1 else law.m, PLAIN),
    "a tuple": (lambda law, N: (law.k, law.m), r"loss of law mine gives tuple; it must return one number"),
    "None": (lambda law, N: None, r"loss of law mine gives NoneType; it must return one number for one point"),
    "an array": (lambda law, N: law.k * np.ones(3), r"loss of law mine gives an array of shape \(3,\); it must"),
    "a condition": (lambda law, N: law.k > N, r"loss of law mine gives an array of shape \(\); it must return"),
    "a misspelt constant": (
        lambda law, N: law.q + N,
        r"loss of law mine fails with AttributeError: .* no attribute 'q'",
    ),
}


@pytest.mark.parametrize("fault", USERS)
def test_a_formula_that_cannot_be_compiled_is_told_of(fault: str) -> None:
    formula, message = USERS[fault]
    law = users_law(formula)
    with pytest.raises(UsageError, match=message):
        law(k=1.0, m=1.0)(N=2.0)
    with pytest.raises(UsageError, match=message):
        fit(law, table_of(N=np.geomspace(1e7, 1e9, 8)), method="laplace")


def table_of(**inputs: np.ndarray) -> pd.DataFrame:
    rows = len(next(iter(inputs.values())))
    return pd.DataFrame({**inputs, "loss": np.linspace(3.0, 2.0, rows)})


def test_the_other_methods_of_a_law_are_told_of_too() -> None:
    with pytest.raises(UsageError, match=r"the stated prior of m of law mine uses what takes plain numbers only"):
        Target(
            users_law(None, m=stated("m", dist.HalfNormal(1.0), lambda q, law, at: math.log(at.N) * q))(), StudentT()
        )
    with pytest.raises(UsageError, match=r"sample of law mine fails with KeyError: 'x'"):
        Target(users_law(None, sample=lambda self, at: {}["x"])(), StudentT())
    found = fit(users_law(lambda law, N: law.k + N**-law.m), table_of(N=np.geomspace(1e7, 1e9, 8)), method="laplace")
    with pytest.raises(UsageError, match=r"odd of law mine uses what takes plain numbers only"):
        found.derive("odd")


def test_a_law_without_a_docstring_shows_its_method() -> None:
    class Child(Chinchilla, register=False):
        def loss(self, N: Any, D: Any) -> Any:
            return self.E + self.A / N

    for law, text in ((users_law(None), "loss(N)"), (Child, "loss(N, D)")):
        assert (law.formula(), law.source(), law.remarks()) == (text, "", [])


# --- evaluating ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("law", "inputs", "expected"),
    [
        (published(KaplanN), {"N": 1e9}, 2.37564),
        (published(KaplanD), {"D": 2.2e10}, 2.09917),
        (published(KaplanC), {"C": PF_DAY}, 2.57416),
        (published(KaplanCmin), {"C": PF_DAY}, 2.65808),
        (published(KaplanND), {"N": 1e9, "D": 2.2e10}, 2.36932),
        (published(KaplanND), {"N": 1e9, "D": 1e30}, 2.31883),
        (published(Chinchilla), {"N": 70e9, "D": 1.4e12}, 1.92085),
        (published(Chinchilla, 1), {"N": 70e9, "D": 1.4e12}, 1.97388),
        (published(Chinchilla), {"N": 2.217e9, "D": 7.518e10}, 2.29549),
        (published(Chinchilla, 1), {"N": 7.225e10, "D": 1.329e12}, 1.97444),
        (published(ChinchillaTied), {"N": 8.7e9, "D": 178e9}, 2.192164),
        (published(DataConstrained), {"N": 8.7e9, "D": 178e9, "U": 178e9}, 2.192164),
        (published(DataConstrained), {"N": 8.7e9, "D": 178e9, "U": 44e9}, 2.207302),
    ],
)
def test_published_constants_give_published_losses(law: Law, inputs: dict[str, float], expected: float) -> None:
    """Fixtures are stated to six figures."""
    assert law(**inputs) == pytest.approx(expected, abs=6e-6)


def test_gadre_et_als_constants_are_those_of_their_form() -> None:
    N, D = np.array([4e8, 1.4e9]), np.array([2e10, 9e11])
    C, M = 6 * N * D, D / N
    expected = 1.837 + (212.2 * M**0.1364 + 366.7 * M**-0.1364) * C**-0.1364
    np.testing.assert_allclose(published(ChinchillaTied, 2)(N=N, D=D), expected, rtol=1e-12)


def test_the_frontier_is_chinchillas() -> None:
    law = published(Chinchilla, 1)
    at = law.optimum(1e21)
    a, gamma = float(evaluate(law, "a")), float(evaluate(law, "gamma"))
    same = Frontier(E=law.E, gamma=gamma, a=a, R=float(law(**at) - law.E), N_ref=float(at["N"]))
    N, D = np.array([1e8, 7e10]), np.array([4e9, 1.4e12])
    np.testing.assert_allclose(same(N=N, D=D), law(N=N, D=D), rtol=1e-12)
    assert float(evaluate(same, "alpha")) == pytest.approx(law.alpha)
    for n, x in same.optimum(5.76e23).items():
        assert float(x) == pytest.approx(float(law.optimum(5.76e23)[n]))


def test_derived_quantities_at_published_constants() -> None:
    tex, refit = published(Chinchilla), published(Chinchilla, 1)
    assert [float(evaluate(law, q)) for law in (tex, refit) for q in ("a", "gamma")] == pytest.approx(
        [0.4565, 0.15484, 0.5126, 0.17829], abs=6e-5
    )
    assert float(evaluate(published(KaplanND), "a")) == pytest.approx(0.575, abs=6e-4)


def test_inputs_broadcast_and_are_checked() -> None:
    law = published(Chinchilla)
    grid = law(N=np.array([[1e8], [1e9]]), D=[1e10, 1e11, 1e12])
    assert grid.shape == (2, 3) and grid.dtype == np.float64
    assert grid[1, 2] == law(N=1e9, D=1e12)
    with pytest.raises(UsageError, match=r"law chinchilla has no input 'n'; its inputs are N, D"):
        law(n=1e9, D=1e10)
    with pytest.raises(UsageError, match=r"law chinchilla needs D; its inputs are N, D"):
        law(N=1e9)
    with pytest.raises(UsageError, match=r"D must be positive and finite; found -1.0"):
        law(N=1e9, D=[1e9, -1.0])
    with pytest.raises(UsageError, match="N must be positive and finite; found nan"):
        law(N=np.nan, D=1e9)
    with pytest.raises(UsageError, match="N must be a positive number or an array of them, not 'many'"):
        law(N="many", D=1e9)
    with pytest.raises(UsageError, match="the inputs must have one length, or be single numbers: N has 2, D has 3"):
        law(N=[1e8, 1e9], D=[1e9, 1e10, 1e11])
    with pytest.raises(
        UsageError, match="law chinchilla still has free constants: A, alpha, B, beta; fit it, or give them numbers"
    ):
        Chinchilla(E=1.69)(N=1e9, D=1e10)
    assert list(checked_inputs("x", ("D", "N"), {"N": 1, "D": 2})) == ["D", "N"]


def test_the_centre_names_what_it_has() -> None:
    centre = Centre({"N": 1e9, "loss": 2.0})
    assert centre.N == 1e9
    with pytest.raises(AttributeError, match="the data's centre has N, loss, not D"):
        _ = centre.D


# --- laws as targets ----------------------------------------------------------------------------------------------


def target_of(law: Law) -> tuple[Target, Any]:
    rng = np.random.default_rng(0)
    inputs = {n: CENTRES[n] * 10 ** rng.uniform(-1, 1, 40) for n in law.inputs}
    observed = np.full(40, CENTRES[law.metric])
    return Target(law, StudentT()), padded(inputs, observed, None, centre_of(inputs, law.metric, observed), law.metric)


def test_a_law_whose_priors_depend_on_one_another() -> None:
    class Ordered(Law):
        """L(N) = E + k/N^p"""

        E: Param = dist.Uniform(1.0, 2.0)
        k: Param = dist.HalfNormal(1.0)
        p: Param = stated("p above E / 10", dist.HalfNormal(0.1), lambda q, law, at: law.E / 10 + q)

        def sample(self, at: Centre) -> Any:
            E = numpyro.sample("E", self.E)
            return self.replace(E=E, k=numpyro.sample("k", dist.HalfNormal(E)), p=0.3)

        def loss(self, N: Any) -> Any:
            return self.E + self.k * N**-self.p

    target = Target(Ordered(), StudentT())
    assert list(target.sites) == ["E", "k", "sigma", "nu"]


def test_a_pinned_and_tied_law_keeps_its_constants_in_a_fit() -> None:
    target, data = target_of(PowerLawN(alpha=0.2, N_c="HalfNormal(10)"))
    constants = target.constants_at(target.prior_draws(5, 0, data), data)
    assert set(constants) == {"L_inf", "N_c", "sigma", "nu"}
    tied, data = target_of(Chinchilla(beta="alpha"))
    constants = tied.constants_at(tied.prior_draws(5, 0, data), data)
    assert np.array_equal(constants["alpha"], constants["beta"])
