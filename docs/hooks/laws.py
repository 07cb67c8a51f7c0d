"""A page for each registered law, and their list, made from the laws' own declarations when the site is built."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from numpyro.distributions import Distribution, constraints

from bayescale.answers.optimum import deployment_for
from bayescale.catalogue import laws
from bayescale.errors import UsageError
from bayescale.law import Law, Stated, setting_text
from bayescale.plot.kinds import kinds_of
from bayescale.runs import COLUMNS

GREEK = dict(zip(
    "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi pi rho sigma tau phi chi psi omega".split(),
    "αβγδεζηθκλμνξπρστφχψω",
    strict=True,
))  # fmt: skip
EXAMPLES = {
    "N": "7e9",
    "D": "1.4e12",
    "C": "1e23",
    "S": "1e5",
    "B": "5e5",
    "U": "1e11",
    "E": "8",
    "loss": "2.5",
    "tolerance": "0.02",
}
INVERSES = 512
"""Points at which a prior is drawn and its quantiles are taken."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the laws' pages to their section."""
    for entry in config.nav or []:
        if "Laws" in entry:
            entry["Laws"] += [{name: f"laws/{name}.md"} for name in laws()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Make the pages."""
    files.append(File.generated(config, "laws/index.md", content=index()))
    for law in laws().values():
        files.append(File.generated(config, f"laws/{law.name}.md", content=page(law)))
    return files


def index() -> str:
    """The list of laws, those that predict the same from the same together."""
    groups: dict[tuple[str, tuple[str, ...]], list[type[Law]]] = {}
    for law in laws().values():
        groups.setdefault((law.metric, law.inputs), []).append(law)
    lines = [
        "# Laws",
        "",
        "Every law is one short class with its priors in plain sight, and each page here is made from that class. "
        "Laws in one table predict the same quantity from the same inputs, so `bs.compare` can weigh them against "
        "each other. A law of your own is used [in the same way](../howto/own-law.md).",
    ]
    for (metric, inputs), members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        split = "" if refusal(members[0]) else "; compute splits between N and D"
        lines += ["", f"## {metric} from {', '.join(inputs)}", ""]
        lines += [f"{meaning(metric)}{split}.", "", "| law | formula |", "|---|---|"]
        lines += [f"| [{law.name}]({law.name}.md) | {formula(law.formula())} |" for law in members]
    return "\n".join(lines) + "\n"


def page(law: type[Law]) -> str:
    """Everything that a law's declaration says."""
    spec, sources = law(), list(law.published)
    lines = [f"# {law.name}", "", formula(law.formula()), "", law.source()]
    lines += [line for remark in law.remarks() for line in ("", remark)]
    if law.caution:
        lines += ["", '!!! warning "Mind"', f"    {law.caution}."]
    lines += ["", f"**Predicts** {meaning(law.metric)}.  ", f"**Inputs** {'; '.join(map(meaning, law.inputs))}.", ""]

    marks = [f"[{i + 1}]" for i in range(len(sources))]
    lines += [
        "## Constants",
        "",
        "| constant | prior | median (90 %) | | " + " | ".join(marks) + " |"[: 2 * len(marks)],
    ]
    lines += ["|---|---|---|---|" + "--:|" * len(sources)]
    for name, value in spec.items():
        published = [f"{law.published[s][name]:.6g}" if name in law.published[s] else "" for s in sources]
        lines += [" | ".join(["|" + formula(name), *prior(value), *published]) + " |"]
    lines += ["", *(f"{m} {s}  " for m, s in zip(marks, sources, strict=True))]
    lines += [
        "",
        "Priors of what a constant implies are stated at the data's centre: "
        + formula("N0, D0, C0")
        + ", ... are the geometric means of the table's inputs and "
        + formula("L0")
        + (" is that of its losses" if "loss" in law.inputs else f" is the median of its {law.metric}")
        + ". The noise has two constants more, sigma and nu "
        "([Concepts](../concepts.md#noise)).",
    ]
    if quantities := law.quantities():
        lines += ["", "## Derived quantities", "", "Each is evaluated at every draw and so comes with an interval.", ""]
        lines += ["| quantity | needs | what it is |", "|---|---|---|"]
        for name, needs in quantities.items():
            what = (inspect.getdoc(getattr(law, name)) or "").replace("\n", " ").replace("|", "\\|")
            lines += [f"| `{name}` | {', '.join(needs)} | {what} |"]
    why = refusal(law)
    lines += ["", "## Compute-optimal split", ""]
    if why:
        lines += [f"None: {why}."]
    else:
        how = "in closed form" if hasattr(law, "optimum") else "by a numeric search"
        lines += [f"`fit.allocate(C=...)` minimises the loss at C = 6ND at every draw, {how}."]
    lines += ["", "## Fit it", "", *how_to_fit(law, quantities)]
    if kin := [n for n, k in laws().items() if k is not law and (k.metric, k.inputs) == (law.metric, law.inputs)]:
        lines += ["", "On the same table it can be [compared](../howto/compare.md) with "]
        lines[-1] += ", ".join(f"[{n}]({n}.md)" for n in kin) + "."
    lines += ["", "## Declaration", "", "```python", inspect.getsource(law).rstrip(), "```"]
    return "\n".join(lines) + "\n"


def how_to_fit(law: type[Law], quantities: dict[str, tuple[str, ...]]) -> Iterator[str]:
    """The calls for this law."""

    def given(names: tuple[str, ...]) -> str:
        return ", ".join(f"{n}={EXAMPLES.get(n, '...')}" for n in names)

    yield "```python"
    yield f'fit = bs.fit("{law.name}", runs)  # columns {", ".join((*law.inputs, law.metric))}'
    yield f"fit.predict({given(law.inputs)})"
    if not refusal(law):
        held = [f"{n}={EXAMPLES.get(n, '...')}" for n in others(law)]
        yield f"fit.allocate({', '.join(['C=1e23', *held])})"
    if asked := next((n for n, needs in quantities.items() if needs), None):
        yield f'fit.derive("{asked}", {given(quantities[asked])})'
    for source, values in law.published.items():
        published = law(**values)
        if not published.free and set(law.inputs) <= set(EXAMPLES):
            value = published(**{n: float(EXAMPLES[n]) for n in law.inputs})
            yield f'constants = bs.models.{law.__name__}.published["{source}"]'
            yield f"published = bs.models.{law.__name__}(**constants)"
            yield f"published({given(law.inputs)})  # {value:.4g}"
            break
    yield from ("```", "", f"    bayescale fit runs.csv --law {law.name} -o fit.nc", "")
    yield f"Plots of such a fit: {', '.join(kinds_of(law()))} (`bs.plot`, `bayescale plot`)."


def refusal(law: type[Law]) -> str:
    """Why a law has no compute-optimal split; '' where it has one."""
    try:
        deployment_for(law(), dict.fromkeys(others(law), 1.0))
    except UsageError as error:
        return str(error)
    return ""


def others(law: type[Law]) -> list[str]:
    """Inputs besides N and D, which an allocation is given."""
    return [n for n in law.inputs if n not in ("N", "D")]


def meaning(name: str) -> str:
    """A column with what it counts."""
    return f"`{name}`, {COLUMNS[name]}" if name in COLUMNS else f"`{name}`"


def prior(value: Any) -> tuple[str, str, str]:
    """A constant's prior as declared, its median and 90 % in words, and its density as a small picture."""
    if isinstance(value, Stated):
        text = f"{formula(value.quantity)} ~ {spaced(setting_text(value.prior))}"
        return text, *words_and_picture(value.prior)
    if isinstance(value, Distribution):
        return spaced(setting_text(value)), *words_and_picture(value)
    return (f"tied to {formula(value)}" if isinstance(value, str) else f"pinned at {value:g}"), "", ""


def words_and_picture(distribution: Distribution) -> tuple[str, str]:
    """Median and 90 % of a prior of one number, and its density between the quantiles .002 and .998."""
    if distribution.shape():
        return "", ""
    levels = (np.arange(INVERSES) + 0.5) / INVERSES
    try:
        values = np.asarray(distribution.icdf(levels), float)
    except (ImportError, NotImplementedError, TypeError):
        draws = np.sort(np.asarray(distribution.sample(jax.random.PRNGKey(0), (200 * INVERSES,)), float))
        values = np.quantile(draws, levels)
    low, median, high = np.interp([0.05, 0.5, 0.95], levels, values)
    positive = distribution.support is constraints.positive and values[-1] / values[0] > 20
    ends = np.log(values[[0, -1]]) if positive else values[[0, -1]]
    u = np.linspace(*ends, 60)
    x = np.exp(u) if positive else u
    density = np.exp(np.asarray(distribution.log_prob(x), float)) * (x if positive else 1.0)
    height = 22 * density / density.max()
    points = " ".join(f"L{80 * i / 59:.1f},{24 - h:.1f}" for i, h in enumerate(height))
    at = 80 * float((np.log(median) if positive else median) - ends[0]) / float(ends[1] - ends[0])
    axis = "log axis" if positive else "linear axis"
    picture = (
        f'<svg class="prior" viewBox="0 0 80 25" role="img"><title>density, {axis}</title>'
        f'<path d="M0,24 {points} L80,24 Z"/><line x1="{at:.1f}" x2="{at:.1f}" y1="1" y2="24"/></svg>'
    )
    return f"{median:.2g} ({low:.2g} to {high:.2g})", picture


def spaced(text: str) -> str:
    """A distribution as it is written, its numbers short: LogNormal(-1.2, 0.5)."""
    return "`" + re.sub(r"\w+=", "", re.sub(r"-?\d+\.\d+", lambda m: f"{float(m[0]):.3g}", text)) + "`"


def formula(text: str) -> str:
    """A formula in plain text with its exponents, subscripts and Greek letters set."""
    return f'<span class="formula">{_set(text)}</span>'


def _set(text: str) -> str:
    out, i = "", 0
    while i < len(text):
        if text[i] == "^" and i + 1 < len(text):
            if text[i + 1] == "(":
                end = _closing(text, i + 1)
                inner, i = text[i + 2 : end], end + 1
            else:
                inner = re.match(r"-?[\w.]+|.", text[i + 1 :])[0]  # type: ignore[index]
                i += 1 + len(inner)
            out += f"<sup>{_set(inner)}</sup>"
        elif name := re.match(r"([A-Za-z]+)_?(\w*)", text[i:]):
            base, below = GREEK.get(name[1], name[1]), GREEK.get(name[2], name[2].replace("inf", "∞"))
            base = f"<i>{base}</i>" if len(base) == 1 else "∞" if base == "inf" else base
            out += base + (f"<sub>{below}</sub>" if below else "")
            i += name.end()
        else:
            out += {"-": "&minus;", "*": "&middot;", "|": "&#124;"}.get(text[i], html.escape(text[i]))
            i += 1
    return out


def _closing(text: str, start: int) -> int:
    """Where the parenthesis that opens at `start` closes."""
    depth = 0
    for i in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        if depth == 0:
            return i
    return len(text)
