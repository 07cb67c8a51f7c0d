"""bayescale laws"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bayescale.cli.options import json_option, print_json

if TYPE_CHECKING:
    from bayescale.law import Law


@click.command("laws")
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the laws, or show NAME (a law's name, or FILE.py:NAME) with its priors and published values."""
    from bayescale.catalogue import law_from, laws

    chosen = [type(law_from(name))] if name else list(laws().values())
    if as_json:
        print_json({"laws": [_json(law) for law in chosen]})
    elif name:
        click.echo(_page(chosen[0]))
    else:
        from bayescale.text.layout import aligned

        click.echo("\n".join(aligned([(law.name, law.formula()) for law in chosen], ("law", "formula"), left=2)))


def _priors(law: type[Law]) -> dict[str, str]:
    from bayescale.law import setting_text

    return {n: setting_text(v) for n, v in law().items()}


def _json(law: type[Law]) -> dict[str, Any]:
    published = {n: {source: values[n] for source, values in law.published.items() if n in values} for n in law.fields}
    return {
        "name": law.name,
        "inputs": list(law.inputs),
        "metric": law.metric,
        "formula": law.formula(),
        "source": law.source(),
        "parameters": {n: {"prior": p, "published": published[n]} for n, p in _priors(law).items()},
        "derived": {n: list(needs) for n, needs in law.quantities().items()},
    }


def _page(law: type[Law]) -> str:
    from bayescale.text.layout import aligned

    lines = [f"{law.name}: {law.formula()}", "", law.source(), "", *law.remarks(), ""]
    sources = list(law.published)
    marks = [f"[{i + 1}]" for i in range(len(sources))]
    rows = [
        (n, p, *(f"{law.published[s][n]:.6g}" if n in law.published[s] else "" for s in sources))
        for n, p in _priors(law).items()
    ]
    lines += aligned(rows, ("constant", "prior", *marks), left=2)
    lines += ["", *(f"{m} {s}" for m, s in zip(marks, sources, strict=True))] if sources else []
    of_loss = "that of its losses" if "loss" in law.inputs else f"the median of its {law.metric}"
    lines += ["", f"N0, D0, C0: geometric means of the table's inputs; L0: {of_loss}."]
    if quantities := law.quantities():
        lines += [
            "Derived: " + ", ".join(f"{n}({', '.join(needs)})" if needs else n for n, needs in quantities.items())
        ]
    if law.caution:
        lines += ["", f"Mind: {law.caution}."]
    return "\n".join(line for i, line in enumerate(lines) if line or (i and lines[i - 1]))
