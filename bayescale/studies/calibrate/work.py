"""Blocks of simulations, one after another or over processes."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial
from typing import Any

from bayescale.catalogue import law_from
from bayescale.errors import UsageError
from bayescale.law import Law
from bayescale.studies.calibrate.ranks import Ranked, ranked
from bayescale.studies.calibrate.simulate import Setting


def in_blocks(
    law: Any, setting: Setting, blocks: list[list[int]], processes: int, tick: Callable[[int], None]
) -> Iterator[list[Ranked]]:
    """The results of blocks of simulations as they come.

    Parameters
    ----------
    law : str, Law or type
        As the user gave it: a name travels to other processes better than the law itself.
    setting : Setting
    blocks : list of list of int
        Numbers of simulations.
    processes : int
    tick : callable
        Told of simulations done.

    Raises
    ------
    UsageError
        The law cannot be sent to another process.
    """
    if processes == 1 or len(blocks) < 2:
        for block in blocks:
            yield ranked(setting, block, tick)
        return
    spec = law if isinstance(law, str) else _portable(setting.law.law)
    rest = {f.name: getattr(setting, f.name) for f in fields(setting) if f.name != "law"}
    work = partial(_in_process, spec, rest)
    with multiprocessing.get_context("spawn").Pool(processes, _quiet) as pool:
        for results in pool.imap_unordered(work, blocks):
            tick(len(results))
            yield results


def _portable(law: Law) -> tuple[type[Law], dict[str, Any]]:
    changed = {n: v for n, v in law.items() if v is not getattr(type(law), n)}
    try:
        if type(law).__module__ == "__main__" or type(law).__module__.startswith("bayescale_law_"):
            raise TypeError("another process cannot import it")
        pickle.dumps((type(law), changed))
    except (pickle.PicklingError, AttributeError, TypeError):
        raise UsageError(
            f"law {law.name} cannot be sent to other processes; declare it in a file and name it as 'file.py:Name', "
            "or use processes=1"
        ) from None
    return type(law), changed


def _quiet() -> None:
    """An interrupt is the parent's affair."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _in_process(spec: Any, rest: dict[str, Any], block: list[int]) -> list[Ranked]:
    law = law_from(spec) if isinstance(spec, str) else spec[0](**spec[1])
    return ranked(Setting(rest["design"].law(law), **rest), block)
