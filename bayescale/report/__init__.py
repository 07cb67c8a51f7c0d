"""A report of a fit or a comparison: one HTML file that opens anywhere, with a planner that works inside it."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from bayescale import intervals
from bayescale.fit import Fit
from bayescale.report import words
from bayescale.report.subject import Subject, subject_of
from bayescale.storage.atomic import whole_file
from bayescale.studies.compare import Comparison

MODULES = (
    "words.js",
    "numerics.js",
    "charts.js",
    "planner.js",
    "budget-charts.js",
    "plan-budget.js",
    "plan-point.js",
    "main.js",
)


def report(
    found: Fit | Comparison, path: str | Path, *, interval: float = intervals.INTERVAL, command: str = ""
) -> None:
    """Write a report of a fit or a comparison as one HTML file.

    The file needs no network and no server. It holds the verdict, the constants, the diagnostics, what to distrust,
    pictures, the data, the (Mis)fitting checklist, and a planner that works from the posterior draws in the page.

    Parameters
    ----------
    found : Fit or Comparison
        One that has not converged gets a report that says so first.
    path : str or Path
        Where to write; an existing file is replaced only once the new one is whole.
    interval : float
        Mass of the equal-tailed intervals.
    command : str
        What the page names as the command that made it; default: this call.

    Raises
    ------
    UsageError
        `found` is neither a fit nor a comparison, or the file cannot be written.
    """
    subject = subject_of(found, intervals.checked_interval(interval))
    page = render(subject, command or f"bayescale.report(..., {str(path)!r})")
    with whole_file(Path(path)) as temporary:
        temporary.write_text(page, encoding="utf-8")


def render(subject: Subject, command: str) -> str:
    """The page's HTML. Everything that comes from data or a law is escaped, and only the page's own scripts may run."""
    import jinja2
    from markupsafe import Markup

    from bayescale.report import checklist, compared, content, origin, payload

    folder = resources.files(__name__)
    table = content.fitted(subject.lead, content.spread_out(subject.lead))
    plan, functions, no_planner = payload.planner(subject, table)
    shown = {"planner": plan, "pictures": payload.pictures(subject, table)}
    scripts = [
        (folder / "vendor" / "plotly-basic.min.js").read_text(encoding="utf-8"),
        "const LAWS = [\n" + ",\n".join(functions) + "\n];",
        *((folder / name).read_text(encoding="utf-8") for name in MODULES),
    ]
    scripts = [s.replace("\r\n", "\n") for s in scripts]
    groups = checklist.checklist(subject, float(np.std(table["off by"])))
    lead, comparison = subject.lead, subject.comparison
    other = {n: f for n, f in subject.fits.items() if f is not lead}
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string((folder / "page.html.jinja").read_text(encoding="utf-8")).render(
        policy=_policy(scripts),
        version=importlib.metadata.version("bayescale"),
        style=Markup((folder / "style.css").read_text(encoding="utf-8")),
        scripts=[Markup(s) for s in scripts],
        content=Markup(_json(shown)),
        title=_title(subject),
        formula="" if comparison else lead.law.formula(),
        source=f"{lead.runs.rows} runs of {lead.runs.source}",
        sections=_sections(subject),
        failures=[] if subject.converged else list(subject.failures),
        verdict=content.verdict(subject),
        distrust=content.distrust(subject),
        laws=compared.laws(comparison) if comparison else None,
        sensitivity=compared.sensitivity(comparison) if comparison else None,
        no_planner=no_planner,
        planned=list(subject.fits),
        planned_groups=plan["groups"] if plan else [],
        group_columns=words.listed(list(subject.groups[0]) or [""]),
        draws=f"{plan['laws'][0]['count']:,}".replace(",", "\u00a0") if plan else "",
        mass=words.percent(subject.interval),
        allocates=bool(plan) and plan["allocates"],
        inputs=list(subject.inputs),
        others=list(subject.others) if plan and plan["allocates"] else [],
        metric=subject.metric,
        units=words.UNITS,
        forecasts=content.forecasts(subject),
        lead=lead.law.name,
        constants=content.constants(lead, subject.interval),
        others_constants=[(n, content.constants(f, subject.interval)) for n, f in other.items()],
        diagnostics=origin.diagnostics(lead),
        checklist=groups,
        checklist_source=checklist.SOURCE,
        answered=sum(i.answered for g in groups for i in g.items),
        asked=sum(len(g.items) for g in groups),
        data=content.data_table(subject),
        origin=origin.origin(subject, command),
    )


def _title(subject: Subject) -> str:
    source = subject.lead.runs.source.split(" (")[0]
    name = Path(source).name if "/" in source else source
    if subject.comparison:
        return f"{len(subject.comparison.table)} laws on {name}"
    return f"{subject.lead.law.name} on {name}"


def _sections(subject: Subject) -> list[tuple[str, str]]:
    found = [("verdict", "Verdict"), ("distrust", "What to distrust")]
    if subject.comparison:
        found.append(("laws", "Laws"))
    found += [("planner", "Planner"), ("constants", "Constants"), ("fit", "Law against runs")]
    found += [("diagnostics", "Diagnostics"), ("checklist", "Checklist"), ("data", "Data"), ("origin", "Origin")]
    return found


def _json(content: dict[str, Any]) -> str:
    """JSON that may stand inside a script element: no `<`, and null for what is not a finite number."""
    return json.dumps(_finite(content), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _finite(value: object) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _policy(scripts: list[str]) -> str:
    """A content security policy: no network, and no script but these."""
    allowed = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    rules = ("default-src 'none'", f"script-src {allowed}", "style-src 'unsafe-inline'", "img-src data:")
    return "; ".join((*rules, "base-uri 'none'", "form-action 'none'"))
