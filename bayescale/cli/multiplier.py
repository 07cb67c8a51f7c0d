"""bayescale multiplier"""

from __future__ import annotations

from typing import Any

import click

from bayescale.cli.options import (
    cost_of,
    cost_option,
    doubts,
    given_inputs,
    groups_from,
    input_options,
    interval_option,
    json_option,
    law_option,
    positive,
    print_doubts,
    print_json,
    trusted_fit,
)


@click.command("multiplier")
@click.argument("fit")
@click.argument("old", required=False)
@click.option("--by", metavar="COLUMN", help="The column that tells recipes apart, where FIT is pooled by several.")
@click.option("--of", "of", metavar="RECIPE", help="The new recipe, or several: new,newer.  [default: all the others]")
@click.option("--over", metavar="RECIPE", help="The old recipe.")
@click.option("--equal-N", "equal_N", is_flag=True, help="Both train the model that is optimal for the new recipe.")
@click.option("--tokens-per-parameter", metavar="NUMBER", help="Both train on so many tokens a parameter.")
@cost_option
@input_options
@law_option
@interval_option
@json_option
def command(fit: str, old: str | None, by: str | None, of: str | None, over: str | None, equal_N: bool,
            tokens_per_parameter: str | None, cost: str | None, law: str | None, interval: float, as_json: bool,
            **options: Any) -> None:  # fmt: skip
    """How many times the compute (--C) the old recipe needs for the loss that the new one reaches.

    FIT is pooled by recipe (--of, --over), or of the new recipe alone, with OLD a fit of the old one. By a law of one
    input it is that input that is multiplied: give --N or --D in place of --C.
    """
    from bayescale.errors import UsageError
    from bayescale.fit import Fit
    from bayescale.intervals import as_json as estimate
    from bayescale.studies.multiplier import multiplier
    from bayescale.text.multiplier import multipliers_text

    if old is not None and over is not None:
        raise UsageError(f"--over names a recipe of one pooled fit; here {old} is the fit of the old one")
    new = trusted_fit(fit, law)
    base = over if old is None else trusted_fit(old, law)
    columns = new.law.columns if isinstance(new, Fit) else {}
    column = by or (next(iter(columns)) if len(columns) == 1 else "")
    ratio = None if tokens_per_parameter is None else positive(tokens_per_parameter)
    table = multiplier(
        new,
        by=by,
        of=None if of is None else groups_from(of, columns.get(column, ())),
        over=base,
        at="equal_N" if equal_N else "optimum",
        tokens_per_parameter=ratio,
        interval=interval,
        **({"cost": cost} if cost else {}),
        **given_inputs(options, new),
    )
    fits = [x for x in (new, base) if isinstance(x, Fit)]
    told = list(dict.fromkeys([*table.attrs["warnings"], *(s for f in fits for s in doubts(f, table))]))
    counted = cost_of(new, cost)
    if as_json:
        scale = str(table.columns[0])
        entries = [
            {scale: row[scale], "of": row["of"], "over": row["over"], "multiplier": estimate(row)}
            | {n: row[n] for n in ("probability_better", "probability_best", "never", "unit") if n in row}
            | {"decades_beyond_data": {scale: row[f"decades_{scale}"]}}
            for _, row in table.iterrows()
        ]
        head = {"interval_mass": interval, "law": new.law.name, "cost": counted.entry, "basis": table.attrs["basis"]}
        print_json({**head, "warnings": told, "multipliers": entries})
    else:
        click.echo(multipliers_text(table, interval))
        if counted.sentence and table.columns[0] == "C":
            click.echo(f"\n{counted.sentence}")
        print_doubts(told)
