"""The report in a browser: no errors, the planner by keyboard and mouse, its numbers the Python API's, its looks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayescale.fit import Fit, fit
from bayescale.report import report

pytestmark = pytest.mark.slow

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium on the path; name one in CHROMIUM")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def file(small_fit: Fit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    report(small_fit, path)
    return path


class Visit:
    """A page that is open, and what its console said."""

    def __init__(self, browser: Any, file: Path, *, width: int = 1280, scheme: str = "light") -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True, reduced_motion="reduce"
        )
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("#planner-charts .main-svg")
        self.rest()

    def rest(self) -> None:
        """Until the slow part of the planner is done."""
        self.page.wait_for_timeout(400)
        self.page.wait_for_selector(".pending", state="detached")
        self.page.wait_for_timeout(200)

    def read(self, table: str, quantity: str) -> dict[str, float]:
        row = self.page.locator(f"#{table} tr[data-quantity={quantity}]")
        return {k: float(row.get_attribute(f"data-{k}")) for k in ("low", "median", "high")}

    def close(self) -> None:
        self.context.close()


@pytest.fixture
def visit(browser: Any, file: Path) -> Iterator[Visit]:
    opened = Visit(browser, file)
    yield opened
    assert opened.said == []
    assert [u for u in opened.asked if not u.startswith(("file:", "data:"))] == []
    opened.close()


def same(got: dict[str, float], want: pd.Series) -> None:
    assert [got[k] for k in ("low", "median", "high")] == pytest.approx(
        [want[k] for k in ("low", "median", "high")], rel=0.01
    )


def test_ten_budgets_are_the_apis(visit: Visit, small_fit: Fit) -> None:
    for C in np.geomspace(1e19, 1e26, 10):
        visit.page.fill("#budget", f"{C:.6e}")
        visit.rest()
        found = small_fit.allocate(C=C).set_index("quantity")
        for name, quantity in (("N", "N"), ("D", "D"), ("ratio", "tokens_per_parameter"), ("loss", "loss")):
            same(visit.read("best", name), found.loc[quantity])


def test_a_model_in_mind_and_a_target(visit: Visit, small_fit: Fit) -> None:
    visit.page.fill("#N", "70B")
    visit.page.fill("#D", "1.4T")
    visit.page.fill("#target", "2.0")
    visit.rest()
    curve = small_fit.predict(N=70e9, D=1.4e12).set_index("quantity")
    costs = small_fit.penalty(N=70e9, D=1.4e12).set_index("quantity")
    same(visit.read("mine", "mine_loss"), curve.loc["mean_curve"])
    same(visit.read("mine", "mine_newRun"), curve.loc["new_run"])
    same(visit.read("mine", "compute_penalty"), costs.loc["compute_penalty"])
    needed = small_fit.allocate(loss=2.0).set_index("quantity")
    same(visit.read("goal", "needed"), needed.loc["C"])


def test_serving_and_limits(visit: Visit, small_fit: Fit) -> None:
    visit.page.fill("#budget", "1e24")
    visit.page.fill("#served", "5T")
    visit.page.fill("#max-D", "1T")
    visit.rest()
    found = small_fit.allocate(C=1e24, inference_tokens=5e12, max_D=1e12).set_index("quantity")
    for name in ("N", "D", "loss", "training_flops", "inference_flops"):
        same(visit.read("best", name), found.loc[name])


def test_the_slider_by_keyboard(visit: Visit, small_fit: Fit) -> None:
    page = visit.page
    page.focus("#budget-slide")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    before = page.input_value("#budget")
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    visit.rest()
    C = float(page.input_value("#budget"))
    assert C == pytest.approx(float(before) * 10**0.1, rel=0.02)
    assert "FLOPs" in page.get_attribute("#budget-slide", "aria-valuetext")
    same(visit.read("best", "N"), small_fit.allocate(C=C).set_index("quantity").loc["N"])
    page.wait_for_timeout(1000)
    assert page.text_content("#live") == page.text_content("#say") != ""


def test_the_slider_by_mouse(visit: Visit, small_fit: Fit) -> None:
    visit.page.locator("#budget-slide").scroll_into_view_if_needed()
    box = visit.page.locator("#budget-slide").bounding_box()
    middle = box["y"] + box["height"] / 2
    visit.page.mouse.move(box["x"] + 0.3 * box["width"], middle)
    visit.page.mouse.down()
    visit.page.mouse.move(box["x"] + 0.8 * box["width"], middle, steps=5)
    visit.page.mouse.up()
    visit.rest()
    C = float(visit.page.input_value("#budget"))
    assert C > 1e25
    same(visit.read("best", "D"), small_fit.allocate(C=C).set_index("quantity").loc["D"])


def test_wrong_input_is_said_and_keeps_the_numbers(visit: Visit) -> None:
    before = visit.read("best", "N")
    visit.page.fill("#budget", "a lot")
    visit.rest()
    assert "a positive number" in visit.page.inner_text("#budget-wrong")
    assert visit.page.get_attribute("#budget", "aria-invalid") == "true"
    assert visit.read("best", "N") == before
    visit.page.fill("#budget", "2 x 10^22")
    visit.page.fill("#served", "1e30")
    visit.rest()
    assert "does not pay for serving" in visit.page.inner_text("#say")
    assert visit.page.locator("#best").count() == 0


def test_a_law_of_one_input(browser: Any, table: pd.DataFrame, tmp_path: Path) -> None:
    found = fit("kaplan_n", table[["N", "loss"]])
    report(found, tmp_path / "n.html")
    visit = Visit(browser, tmp_path / "n.html")
    for N in np.geomspace(1e8, 1e12, 10):
        visit.page.fill("#in-0", f"{N:.6e}")
        visit.rest()
        want = found.predict(N=N).set_index("quantity")
        same(visit.read("point", "mean_curve"), want.loc["mean_curve"])
        same(visit.read("point", "new_run"), want.loc["new_run"])
    assert visit.said == []
    visit.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_looks(browser: Any, file: Path, tmp_path: Path, width: int, scheme: str) -> None:
    """No side scrolling, nothing outside the screen; pictures are left in BAYESCALE_SHOTS, where that is set."""
    visit = Visit(browser, file, width=width, scheme=scheme)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    assert visit.page.locator(".chart .main-svg").count() >= 12
    shots = Path(os.environ.get("BAYESCALE_SHOTS") or tmp_path)
    visit.page.screenshot(path=str(shots / f"report-{width}-{scheme}.png"), full_page=True)
    assert visit.said == []
    visit.close()
