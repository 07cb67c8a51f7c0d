"""bayescale data"""

from __future__ import annotations

from pathlib import Path

import click

from bayescale.cli.options import json_option, print_json


@click.command("data")
@click.argument("name", required=False)
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write the table to this CSV file.")
@json_option
def command(name: str | None, output: str | None, as_json: bool) -> None:
    """List the data sets, or print NAME: one that ships, or one that is downloaded and checked."""
    from bayescale import datasets
    from bayescale.text.layout import aligned

    if name is None:
        sets = [datasets.info(n) for n in datasets.names()]
        if as_json:
            print_json(
                {
                    "data": [
                        {"name": s.name, "rows": s.rows, "kind": s.kind, "title": s.title, "source": s.source}
                        for s in sets
                    ]
                }
            )
        else:
            rows = [(s.name, str(s.rows or ""), s.kind, s.title) for s in sets]
            click.echo("\n".join(aligned(rows, ("name", "rows", "kind", "what"), left=4)))
        return
    table = datasets.load(name)
    if output:
        from bayescale.storage.atomic import whole_file

        with whole_file(Path(output)) as temporary:
            table.to_csv(temporary, index=False)
    if as_json:
        about = datasets.info(name)
        print_json({"name": name, "kind": about.kind, "source": about.source, "rows": table.to_dict("records")})
    elif not output:
        click.echo(table.to_string(index=False))
