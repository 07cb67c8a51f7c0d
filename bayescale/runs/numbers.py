"""Numbers as people write them: 70M, 1.4 trillion tokens, 1.2*10^21 FLOPs, 40,000,000, 3,521, 8 %."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal, DecimalException
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

NUMERIC = (str, int, float, np.integer, np.floating, Decimal)  # what a cell of an object column may be
EMPTY = ("", "nan", "na", "n/a", "null", "none", "-", "–", "—")  # noqa: RUF001
"""Text that says that there is nothing."""

PF_DAY = Decimal(86400) * 10**15
SCALES = {"k": 3, "thousand": 3, "m": 6, "mn": 6, "mio": 6, "million": 6, "b": 9, "g": 9, "bn": 9, "billion": 9,
          "t": 12, "tn": 12, "trillion": 12, "quadrillion": 15, "kilo": 3, "mega": 6, "giga": 9, "tera": 12,
          "p": 15, "peta": 15, "e": 18, "exa": 18, "z": 21, "zetta": 21, "y": 24, "yotta": 24}  # fmt: skip
"""Powers of ten by the letters and words that stand for them; those after tera stand before FLOPs only."""

KINDS = {"N": ("parameters",), "D": ("tokens",), "U": ("tokens",), "B": ("tokens",), "C": ("FLOPs",), "S": ("steps",),
         "loss": ("nats", "bits"), "loss_se": ("nats", "bits"), "error": ("%",), "accuracy": ("%",)}  # fmt: skip
"""The units that a column's cells may carry."""

_OF = r"(?:\s*(?:/|per)\s*(?:token|tok|byte|char(?:acter)?|dim(?:ension)?|word)s?)?"
_UNITS = {
    "FLOPs": r"(?P<prefix>kilo|mega|giga|tera|peta|exa|zetta|yotta|[kmgtpezy])?[\s-]*flops?",
    "PF-days": r"(?:pf|petaflops?|pflops?)(?:/?s)?[\s-]*days?",
    "tokens": r"tok(?:en)?s?",
    "parameters": r"(?:non-?embedding\s*)?(?:param(?:eter)?s?|weights)",
    "steps": r"(?:steps?|iter(?:ation)?s?|updates)",
    "nats": rf"nats?{_OF}",
    "bits": rf"(?:bits?{_OF}|bpb|bpc|bpd)",
    "%": r"(?:%|per\s?cent|percent(?:age)?|pct)",
}
_SCALE = r"(?P<scale>thousand|million|billion|trillion|quadrillion|mio|mn|bn|tn|[kmbgt])?s?"
_REST = [(kind, re.compile(rf"{_SCALE}\s*(?:of\s+)?{unit}", re.I)) for kind, unit in (("", ""), *_UNITS.items())]
_MANTISSA = r"[+-]?(?:[0-9]+(?:[ ,.'’_][0-9]+)*\.?|[.,][0-9]+)"  # noqa: RUF001
_POWER = re.compile(
    rf"(?:(?P<sign>[+-])|(?P<number>{_MANTISSA})\s*[*x]\s*)?(?P<base>[0-9]{{1,4}})\s*(?:\^|\*\*)\s*"
    r"(?P<exponent>[+-]?[0-9]{1,4})",
    re.I,
)
_PLAIN = re.compile(rf"(?P<number>{_MANTISSA})(?:e(?P<exponent>[+-]?[0-9]{{1,4}}))?", re.I)
_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_SIGNS = str.maketrans({"−": "-", "×": "*", "·": "*", "∙": "*", "⋅": "*", "•": "*", "\u00a0": " ", "\u2009": " ",  # noqa: RUF001
                        "\u202f": " ", "\u2007": " ", "$": None, "{": None, "}": None})  # fmt: skip
_GROUPED = re.compile(r"[1-9][0-9]{0,2}([,.])[0-9]{3}")


class Quantity(NamedTuple):
    """A number that was written: its value, what it counts ('' where it does not say) and whether it was scaled."""

    value: float
    unit: str
    scaled: bool


def quantity(text: str, decimal: str = ".") -> Quantity | None:
    """Read a number with a suffix, separators, a power or a unit; None where the text is none.

    Parameters
    ----------
    text : str
    decimal : {'.', ',', '?'}
        What a mark before three digits is where it could be either: with '.' the number "3,521" is three thousand
        five hundred and twenty-one, with ',' three and a half, and with '?' none.
    """
    text = text.strip().translate(_SIGNS).replace(r"\times", "*").replace(r"\cdot", "*").lstrip("~≈ ")
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+", lambda found: "^" + found[0].translate(_SUPERSCRIPT), text)
    if len(text) > 80:
        return None
    found = _POWER.match(text) or _PLAIN.match(text)
    if not found:
        return None
    parts = found.groupdict()
    rest = _unit(text[found.end() :].strip())
    mantissa = _mantissa(parts["number"], decimal, "base" not in parts and parts["exponent"] is not None)
    if rest is None or mantissa is None:
        return None
    factor, unit, scaled = rest
    try:
        value = Decimal(mantissa) * factor
        if "base" in parts:
            value *= Decimal(int(parts["base"])) ** int(parts["exponent"]) * (-1 if parts["sign"] == "-" else 1)
        elif parts["exponent"]:
            value = value.scaleb(int(parts["exponent"]))
        return Quantity(float(value), unit, scaled or "base" in parts)
    except (DecimalException, OverflowError):
        return None


def _unit(text: str) -> tuple[Decimal, str, bool] | None:
    """What follows a number, as a factor, a unit and whether a power of ten was named."""
    if not text:
        return Decimal(1), "", False
    for kind, pattern in _REST:
        if found := pattern.fullmatch(text):
            parts = found.groupdict()
            power = sum(SCALES[p.lower()] for p in (parts["scale"], parts.get("prefix")) if p)
            unit, factor = kind, Decimal(10) ** power
            if kind == "PF-days":
                unit, factor = "FLOPs", factor * PF_DAY
            if kind == "%":
                factor /= 100
            return factor, unit, bool(power) or kind in ("PF-days", "%")
    return None


def _mantissa(text: str | None, decimal: str, exponent: bool) -> str | None:
    """Digits with separators as Python writes them."""
    if text is None:
        return "1"
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text.lstrip("+"))
    spaces = re.fullmatch(r"[0-9]{1,3}(?:([ '’_])[0-9]{3})(?:\1[0-9]{3})*([.,][0-9]*)?", digits)  # noqa: RUF001
    if spaces:
        digits = digits.replace(spaces[1], "")
        return sign + digits.replace(",", ".")
    if re.search(r"[ '’_]", digits):  # noqa: RUF001
        return None
    marks = re.findall("[,.]", digits)
    if len(set(marks)) == 2:  # the last is the decimal mark, if the other groups
        mark, other = marks[-1], "." if marks[-1] == "," else ","
        whole, _, fraction = digits.rpartition(mark)
        if mark in whole or not re.fullmatch(rf"[0-9]{{1,3}}(?:{re.escape(other)}[0-9]{{3}})+", whole):
            return None
        return f"{sign}{whole.replace(other, '')}.{fraction}"
    if len(marks) > 1:
        grouped = re.fullmatch(rf"[0-9]{{1,3}}(?:{re.escape(marks[0])}[0-9]{{3}})+", digits)
        return sign + digits.replace(marks[0], "") if grouped else None
    if marks and _GROUPED.fullmatch(digits) and not exponent:
        if decimal == "?":
            return sign + digits if marks[0] == "." else None
        if marks[0] != decimal:
            return sign + digits.replace(marks[0], "")
    return sign + digits.replace(",", ".")


def decimal_mark(texts: Iterable[str]) -> str | None:
    """Whether numbers are written with decimal points or commas: '.', ',', '?' where both occur, None if none tells."""
    seen: set[str] = set()
    for text in texts:
        found = _PLAIN.match(text.strip().translate(_SIGNS))
        if not found:
            continue
        digits = found["number"].lstrip("+-")
        marks = re.findall("[,.]", digits)
        if len(set(marks)) == 2:
            seen.add(marks[-1])
        elif len(marks) > 1:
            seen.add("." if marks[0] == "," else ",")
        elif marks == [","] and (found["exponent"] or not _GROUPED.fullmatch(digits)):
            seen.add(",")
        elif marks == ["."] and not (found["exponent"] or _GROUPED.fullmatch(digits)):
            seen.add(".")
    return None if not seen else seen.pop() if len(seen) == 1 else "?"


def missing(cells: pd.Series) -> Mask:
    """Which cells hold nothing: NaN, None, blank text or a word for nothing."""
    blank = cells.isna()
    if not pd.api.types.is_numeric_dtype(cells):
        blank |= cells.map(lambda cell: isinstance(cell, str) and cell.strip().lower() in EMPTY).astype(bool)
    return blank.to_numpy(bool)


def numbers(cells: pd.Series, name: str = "", decimal: str | None = None) -> Array:
    """Convert cells to float64, NaN where a cell is not a number; `read_cells` says more."""
    return read_cells(cells, name, decimal)[0]


def read_cells(cells: pd.Series, name: str = "", decimal: str | None = None) -> tuple[Array, Mask]:
    """Convert cells to float64, NaN where a cell is not a number, and say which carried a power of ten of their own.

    Parameters
    ----------
    cells : Series
    name : str
        The standard column that they are: a unit that does not belong to it makes a cell no number.
    decimal : {'.', ',', '?'}, optional
        The table's decimal mark, for cells of a column that could be read either way: where nothing tells, a count is
        read with thousands. A metric has no thousands.
    """
    kind, plain = pd.api.types, np.zeros(len(cells), bool)
    if kind.is_bool_dtype(cells) or kind.is_complex_dtype(cells):
        return np.full(len(cells), np.nan), plain
    if kind.is_numeric_dtype(cells):
        return cells.to_numpy(np.float64, na_value=np.nan), plain
    if not (kind.is_object_dtype(cells) or kind.is_string_dtype(cells)):
        return np.full(len(cells), np.nan), plain
    cells = cells.astype(object)
    written = cells.map(lambda cell: isinstance(cell, NUMERIC) and not isinstance(cell, bool)).to_numpy(bool)
    values = pd.to_numeric(cells.where(written), errors="coerce").to_numpy(np.float64, copy=True)
    there = cells.to_numpy(object)
    text = [row for row, cell in enumerate(there) if isinstance(cell, str)]
    if not text:
        return values, plain
    own = decimal_mark(set(there[text]))
    mark = own or ("," if name in ("loss", "loss_se", "error", "accuracy") else decimal or ".")
    unread = [row for row in text if np.isnan(values[row]) or mark == ","]
    known: dict[str, Quantity | None] = {}
    for row in unread:
        cell = there[row]
        found = known[cell] if cell in known else known.setdefault(cell, quantity(cell, mark))
        if found and (not found.unit or not name or found.unit in KINDS.get(name, ())):
            values[row] = found.value * (np.log(2) if found.unit == "bits" else 1.0)
            plain[row] = found.scaled or found.unit == "bits"
    return values, plain


def size_in(text: object) -> float:
    """The one number with a suffix in a name, 7e7 of 'pythia-70m'; NaN where there is none or more than one."""
    found = re.findall(r"(?<![0-9A-Za-z.])([0-9]+(?:[.,p][0-9]+)?)([KMBTkmbt])(?![0-9A-Za-z])", str(text))
    if len(found) != 1:
        return float("nan")
    digits, letter = found[0]
    return float(Decimal(digits.replace(",", ".").replace("p", ".")).scaleb(SCALES[letter.lower()]))
