"""How every plot looks: colours that mean one thing each, labels with units, scales and ticks.

Nothing here changes matplotlib's settings; pyplot is used only to make a figure where no axes are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogFormatterMathtext, LogLocator, MaxNLocator, NullFormatter, NullLocator

from bayescale.arrays import Numbers
from bayescale.errors import UsageError
from bayescale.runs import COLUMNS

AxesLike: TypeAlias = Axes | Sequence[Axes] | np.ndarray | None
"""Where to draw: on axes, on several, or on those of a new figure."""

# The palette of Okabe & Ito 2008, which readers with any colour vision can tell apart.
DATA = "#000000"
POSTERIOR = "#0072B2"
NEW_RUN = "#56B4E9"
PRIOR = "#E69F00"
OPTIMUM = "#D55E00"
"""The optimum, and what else the eye should go to: a quantity that is not calibrated."""
FURTHER = ("#009E73", "#CC79A7")
"""Series without a meaning of their own; what else tells them apart is a dash or a mark."""
GROUPS = (POSTERIOR, "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Groups of runs, where there are no more of them."""
DASHES = ("--", ":", "-.", (0, (5, 1)), (0, (1, 1)))
BEYOND, BEYOND_TEXT = "0.93", "beyond the data"
"""Shading of what lies beyond the data."""

PANEL = (4.6, 3.3)
"""Width and height of a figure of one panel, inches."""
MANY = 3000
"""Points from which on a vector file holds them as an image."""
LIGHTEST = 0.85
"""The lightest end of the ramp of ordered series that is seen well on white."""
FEW_DECADES = 2.0
"""Ranges of fewer powers of ten have ticks between these, too, with plain numbers."""


def escape(text: object) -> str:
    """Text from data as matplotlib shows it: no mathtext, and no leading underscore that hides it from a legend."""
    shown = str(text).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def label(name: str) -> str:
    """A column with its unit: ``"N (parameters)"``."""
    return f"{name} ({COLUMNS[name]})" if name in COLUMNS else escape(name)


def number(value: float) -> str:
    """A number for a legend: ``"0.5"``, ``"3.2 x 10^20"`` as mathtext."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{float(f'{value:.3g}'):g}"
    mantissa, exponent = f"{value:.2e}".split("e")
    shown = mantissa.rstrip("0").rstrip(".")
    power = f"10^{{{int(exponent)}}}"
    return f"${power}$" if shown == "1" else rf"${shown}\times{power}$"


def panels(ax: AxesLike, count: int = 1, columns: int | None = None, size: tuple[float, float] = PANEL) -> list[Axes]:
    """The axes to draw on: those given, or those of a new figure.

    Parameters
    ----------
    ax : Axes, sequence of Axes, or None
    count : int
        How many panels the plot has.
    columns : int, optional
        Of a new figure; all in one row by default.
    size : tuple
        Of a panel of a new figure, inches.

    Raises
    ------
    UsageError
        Fewer or more axes are given than there are panels.
    """
    if ax is not None:
        given = [ax] if isinstance(ax, Axes) else list(np.ravel(np.array(ax, dtype=object)))
        if len(given) != count or not all(isinstance(a, Axes) for a in given):
            raise UsageError(f"this plot has {count} panel{'s' * (count > 1)}: ax takes as many Axes, not {len(given)}")
        return given
    import matplotlib.pyplot as plt

    columns = min(columns or count, count)
    rows = -(-count // columns)
    figure, grid = plt.subplots(
        rows, columns, squeeze=False, layout="constrained", figsize=(size[0] * columns, size[1] * rows)
    )
    made = list(grid.flat)
    for spare in made[count:]:
        figure.delaxes(spare)
    for axis in made[:count]:
        axis.spines[["top", "right"]].set_visible(False)
    return made[:count]


def handed_back(made: Sequence[Axes]) -> Any:
    """One Axes alone, several as an array."""
    return made[0] if len(made) == 1 else np.array(made, dtype=object)


def is_log(values: Numbers, factor: float = 4.0) -> bool:
    """Whether values are shown on a log scale: positive, over more than a factor of 4."""
    values = np.asarray(values)
    return bool((values > 0).all() and values.max() / values.min() > factor)


def scale(ax: Axes, which: str, low: float, high: float, *, log: bool | None = None) -> None:
    """Limits, scale and ticks of the x or y axis: decades on a log scale, plain numbers within one decade."""
    log = is_log([low, high]) if log is None else log
    axis = ax.xaxis if which == "x" else ax.yaxis
    getattr(ax, f"set_{which}scale")("log" if log else "linear")
    getattr(ax, f"set_{which}lim")(low, high)
    if not log:
        return
    decades = np.log10(high / low)
    if decades < FEW_DECADES:
        within = (
            MaxNLocator(5, steps=[1, 2, 2.5, 5, 10])
            if decades < 1
            else LogLocator(10, subs=(1, 3) if which == "x" else (1, 2, 5))
        )
        axis.set_major_locator(within)
        axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
        axis.set_minor_locator(NullLocator())
        return
    axis.set_major_locator(LogLocator(10, numticks=8))
    axis.set_major_formatter(LogFormatterMathtext(10))
    axis.set_minor_locator(LogLocator(10, subs=range(2, 10), numticks=100) if decades < 8 else NullLocator())
    axis.set_minor_formatter(NullFormatter())


def padded(values: Numbers, share: float = 0.05, *, log: bool) -> tuple[float, float]:
    """Limits that leave a margin around values."""
    values = np.asarray(values, float)
    low, high = (np.log([values.min(), values.max()])) if log else (values.min(), values.max())
    pad = share * (high - low) or share * max(abs(high), 1.0)
    low, high = low - pad, high + pad
    return (float(np.exp(low)), float(np.exp(high))) if log else (float(low), float(high))


def data(ax: Axes, x: np.ndarray, y: np.ndarray, *, color: str = DATA, text: str | None = "runs", **style: Any) -> None:
    """The observed rows, as points."""
    options = {"marker": "o", "linestyle": "none", "markersize": 3.5 if len(x) < 400 else 2, "zorder": 3, **style}
    if len(x) > MANY:
        options |= {"rasterized": True, "alpha": 0.4}
    ax.plot(x, y, color=color, label=text, markeredgewidth=0, **options)


def band(
    ax: Axes, x: np.ndarray, found: Mapping[Any, Any], color: str, text: str | None = None, alpha: float = 0.25
) -> Any:
    """An interval as a band."""
    return ax.fill_between(
        x, found["low"], found["high"], color=color, alpha=alpha, linewidth=0, label=text, zorder=1.5
    )


def shade_beyond(ax: Axes, seen: np.ndarray) -> None:
    """Shade what of the x axis lies outside the data's range, from the data's edge."""
    low, high = sorted(ax.get_xlim())
    for start, end in ((low, float(np.min(seen))), (float(np.max(seen)), high)):
        if end > start:
            ax.axvspan(start, end, facecolor=BEYOND, linewidth=0, zorder=0, label=BEYOND_TEXT)


def uniform_band(ax: Axes, at: np.ndarray, low: np.ndarray, high: np.ndarray, text: str) -> None:
    """Where the ECDF of uniform values, less the uniform one, keeps to."""
    ends = _from_0_to_1(at)
    ax.fill_between(
        ends, _less_uniform(at, low), _less_uniform(at, high), color="0.85", linewidth=0, label=text, zorder=0
    )
    ax.axhline(0, color="0.6", linewidth=0.8, zorder=0.5)
    ax.set_xlim(0, 1)


def ecdf_difference(ax: Axes, at: np.ndarray, ecdf: np.ndarray, **look: Any) -> None:
    """An ECDF less the uniform one."""
    ax.plot(_from_0_to_1(at), _less_uniform(at, ecdf), **look)


def _from_0_to_1(at: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], at, [1.0]])


def _less_uniform(at: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], values - at, [0.0]])


def ramp(place: float) -> str:
    """A colour of an ordered series, dark at 0 to light at 1, that stays apart in grey and for any colour vision."""
    return to_hex(mpl.colormaps["viridis"](place))


def sequence(count: int) -> list[str]:
    """Colours of an ordered series of `count`."""
    return [ramp(place) for place in (np.linspace(0.0, LIGHTEST, count) if count > 1 else [0.3])]


def of_groups(count: int) -> list[str]:
    """Colours of `count` groups of runs: of one, that of all runs."""
    return [DATA] if count == 1 else list(GROUPS[:count]) if count <= len(GROUPS) else sequence(count)


BESIDE: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
BELOW: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "borderaxespad": 4.0}
"""Where a legend goes that would hide data."""


def legend(ax: Axes, **options: Any) -> None:
    """A legend without a frame, of what has a label; a band and a line of one label share one entry."""
    entries: dict[str, list[Any]] = {}
    for handle, text in zip(*ax.get_legend_handles_labels(), strict=True):
        if type(handle) not in map(type, entries.setdefault(text, [])):
            entries[text].append(handle)
    if BEYOND_TEXT in entries:
        # an edge, so that its patch is seen where the legend lies on the shading
        entries[BEYOND_TEXT] = [Patch(facecolor=BEYOND, edgecolor="0.6", linewidth=0.6)]
    if entries:
        handles = [h[0] if len(h) == 1 else tuple(h) for h in entries.values()]
        ax.legend(handles, list(entries), **{"frameon": False, "fontsize": "small", **options})
