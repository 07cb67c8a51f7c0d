"""The report's file: whole, self-contained, escaped, and saying what the fit says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.cli import main
from bayescale.errors import UsageError
from bayescale.fit import Fit, fit
from bayescale.law import Law, Param
from bayescale.report import render, report, words
from bayescale.report.checklist import OPEN
from bayescale.report.content import spread_out
from bayescale.report.subject import subject_of
from bayescale.studies.compare import Comparison, assess

HOSTILE = "</script><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """Tags, and the text that a person reads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.parts: list[str] = []
        self.hidden = ""
        self.content: Any = None
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self.hidden = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self.hidden:
            self.hidden = ""

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.parts.append(data)
        elif self.tags[-1][1].get("id") == "content":
            self.content = json.loads(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.parts).split())


def page_of(found: Any) -> Page:
    return Page(render(subject_of(found, 0.9), "bayescale report x.nc"))


@pytest.fixture(scope="module")
def page(small_fit: Fit) -> Page:
    return page_of(small_fit)


def test_the_file_is_whole_and_small(small_fit: Fit, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    bs.report(small_fit, path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>") and text.rstrip().endswith("</html>")
    assert path.stat().st_size < 5e6
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_nothing_is_loaded_from_elsewhere(page: Page) -> None:
    for _, attributes in page.tags:
        for name in ("src", "href", "action", "srcset", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), attributes
        assert not any(n.startswith("on") for n in attributes)
    policy = next(a["content"] for t, a in page.tags if t == "meta" and a.get("http-equiv"))
    assert policy is not None and policy.startswith("default-src 'none'; script-src 'sha256-")
    scripts = [a for t, a in page.tags if t == "script" and a.get("type") != "application/json"]
    assert policy.count("'sha256-") == len(scripts) and "unsafe-inline" not in policy.split("style-src")[0]


def test_the_verdict_comes_first(page: Page, small_fit: Fit) -> None:
    sections = [a["id"] for t, a in page.tags if t == "section" and a.get("id")]
    assert sections == [
        "verdict",
        "distrust",
        "planner",
        "constants",
        "fit",
        "diagnostics",
        "checklist",
        "data",
        "origin",
    ]
    linked = [(a["href"] or "")[1:] for t, a in page.tags if t == "a" and a.get("class") is None]
    assert linked == sections
    assert page.text.index("The fit converged") < page.text.index("Every number here is worked out")
    assert f"was fitted to {small_fit.runs.rows} runs of" in page.text


def test_constants_are_those_of_the_summary(page: Page, small_fit: Fit) -> None:
    from bayescale.text.layout import interval_text

    for name, row in small_fit.summary().iterrows():
        median, span = interval_text(row.to_dict())
        assert f"{name} {median} {span}" in page.text
    assert f"determine {small_fit.identifiability.rank:.1f} of the law's 5 constants" in page.text


def test_a_long_table_is_cut_and_says_so(table: pd.DataFrame) -> None:
    rows = pd.concat([table] * 20)[["N", "loss"]].reset_index(drop=True)
    long = fit("kaplan_n", rows, method="laplace")
    page = page_of(long)
    assert "The first 500 of 600 rows that were fitted" in page.text
    assert sum(t == "tr" for t, _ in page.tags) < 600
    many = SimpleNamespace(runs=SimpleNamespace(rows=1_000_000))
    assert len(spread_out(many)) == 2000  # type: ignore[arg-type]


def test_the_forecast_table_is_allocate(page: Page, small_fit: Fit) -> None:
    C = 10.0 ** (round(np.log10(6 * (small_fit.runs.inputs["N"] * small_fit.runs.inputs["D"]).max())) + 1)
    found = small_fit.allocate(C=C).set_index("quantity")
    for quantity in ("N", "D", "tokens_per_parameter", "loss"):
        median, span = words.median_and_span(quantity, found.loc[quantity].to_dict())
        assert f"{median} {span}".replace("\u00a0", " ") in page.text
    assert f"With {words.power(C)} FLOPs" in page.text


def test_the_draws_are_all_there(page: Page, small_fit: Fit) -> None:
    (law,) = page.content["planner"]["laws"]
    assert law["constants"] == ["E", "A", "alpha", "B", "beta"]
    assert law["count"] == len(small_fit.thinned()["E"]) and page.content["planner"]["allocates"]


def test_what_a_user_must_state_is_marked(page: Page) -> None:
    assert page.text.count(OPEN) > 5
    assert re.search(r"\d+ of \d+ questions are answered by the fit", page.text)


def test_where_it_comes_from(page: Page, small_fit: Fit) -> None:
    assert "bayescale report x.nc" in page.text and "bayescale fit RUNS --law chinchilla" in page.text
    assert f"numpy {np.__version__}" in page.text and "SHA-256 of the fitted numbers" in page.text


def test_every_field_has_a_label(page: Page) -> None:
    labels = {a.get("for") for t, a in page.tags if t == "label"}
    fields = [a for t, a in page.tags if t in ("input", "select")]
    assert fields
    for field in fields:
        assert field["id"] in labels or field.get("aria-label"), field
    assert any(a.get("aria-live") == "polite" for _, a in page.tags)
    assert {a["id"] for _, a in page.tags if a.get("id")} >= {"verdict", "planner", "say"}
    ids = [a["id"] for _, a in page.tags if a.get("id")]
    assert len(ids) == len(set(ids))


@pytest.mark.usefixtures("registry")
def test_hostile_names_stay_text(table: pd.DataFrame, small_fit: Fit) -> None:
    runs = replace(
        small_fit.runs,
        labels=np.array([HOSTILE] * small_fit.runs.rows, dtype=object),
        group=np.array([HOSTILE] * small_fit.runs.rows),
        source=HOSTILE,
        warnings=(HOSTILE,),
    )
    page = page_of(replace(small_fit, runs=runs))
    assert not any(t == "img" for t, _ in page.tags)
    assert page.content["pictures"]["runs"]["row"][0] == HOSTILE
    assert page.text.count("<img src=x onerror=alert(1)>") > small_fit.runs.rows

    class Nasty(Law):
        """L(N) = a </script><img src=x onerror=alert(1)>

        </style><img src=x onerror=alert(1)>
        """

        a: Param = "LogNormal(1, 1)"

        def loss(self, N: Any) -> Any:
            return self.a * N**-0.1

    nasty = page_of(fit(Nasty, table[["N", "loss"]], method="laplace"))
    assert not any(t == "img" for t, _ in nasty.tags) and "a </script><img" in nasty.text


def test_one_that_has_not_converged_says_so_first(small_fit: Fit) -> None:
    broken = replace(small_fit, samples=replace(small_fit.samples, failures=("R-hat of E is 1.3",)))
    page = page_of(broken)
    assert page.text.index("Not converged: these numbers are no answer R-hat of E is 1.3") < page.text.index("The law ")
    assert "no number below is an answer" in page.text and "is not to be trusted" in page.text
    assert "the optimum has" not in page.text and "Round budgets" not in page.text


@pytest.fixture(scope="module")
def two_laws(small_fit: Fit, table: pd.DataFrame) -> Comparison:
    return assess({"chinchilla": small_fit, "kaplan_nd": fit("kaplan_nd", table)})


def test_a_comparison(two_laws: Comparison) -> None:
    page = page_of(two_laws)
    assert "2 laws on" in page.text and two_laws.verdict.replace("+-", "\u00b1")[:60] in page.text
    for name, row in two_laws.table.iterrows():
        assert f"{name} {row.log_evidence:.2f} \u00b1 {row.log_evidence_se:.2f}" in page.text
    weights = two_laws.weights()
    assert {e["name"]: e["weight"] for e in page.content["planner"]["laws"]} == pytest.approx(weights)
    options = [a.get("value") for t, a in page.tags if t == "option"]
    assert options == ["", *map(str, range(len(weights)))]


def test_a_comparison_in_which_nothing_converged(two_laws: Comparison) -> None:
    broken = {n: replace(f, samples=replace(f.samples, failures=("stuck",))) for n, f in two_laws.fits.items()}
    page = page_of(assess(broken))
    assert "Not converged" in page.text and "no law has converged" in page.text
    assert page.content["planner"] == {}


def test_a_law_without_an_allocation(table: pd.DataFrame) -> None:
    page = page_of(fit("kaplan_c", table.assign(C=6 * table["N"] * table["D"])[["C", "loss"]], method="laplace"))
    assert not page.content["planner"]["allocates"] and "Further points" in page.text
    assert not any(a.get("id") == "budget" for _, a in page.tags)


@pytest.mark.usefixtures("registry")
def test_a_law_that_no_browser_can_evaluate(table: pd.DataFrame) -> None:
    class Special(Law):
        """L(N) = a + gammaln(2 + 1/log N)

        A test.
        """

        a: Param = "LogNormal(1, 1)"

        def loss(self, N: Any) -> Any:
            import jax

            return self.a + jax.scipy.special.gammaln(2.0 + 1 / jax.numpy.log(N))

    page = page_of(fit(Special, table[["N", "loss"]], method="laplace"))
    assert "the planner cannot evaluate special in a browser: its formula uses lgamma" in page.text
    assert "Further points" in page.text and page.content["planner"] == {}


def test_what_it_refuses(small_fit: Fit, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a report is of a fit or a comparison, not of DataFrame"):
        report(pd.DataFrame(), tmp_path / "x.html")
    with pytest.raises(UsageError, match=r"cannot write .*x\.html"):
        report(small_fit, tmp_path / "none" / "x.html")
    with pytest.raises(UsageError, match="mass is between 0 and 1"):
        report(small_fit, tmp_path / "x.html", interval=1.5)
    assert list(tmp_path.iterdir()) == []


def test_command(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.html"
    with pytest.raises(SystemExit, match="0"):
        main(["report", str(saved), "-o", str(path), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said == {"report": str(path), "bytes": path.stat().st_size, "converged": True, "failures": []}
    assert f"bayescale report {saved} -o {path}" in path.read_text(encoding="utf-8")
    with pytest.raises(SystemExit, match="2"):
        main(["report", str(saved), "-o", str(tmp_path / "none" / "r.html")])
    assert "there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.74e9, "1.74 B"),
        (999.9e6, "1.00 B"),
        (70e9, "70.0 B"),
        (1.4e12, "1.40 T"),
        (512, "512"),
        (3e15, "3 \u00d7 10\u00b9\u2075"),
    ],
)
def test_counts(value: float, text: str) -> None:
    assert words.count(value).replace("\u00a0", " ") == text
