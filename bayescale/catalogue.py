"""Laws by name, class or file: those that ship, and those that a user declares."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import os
import sys
from pathlib import Path
from typing import TypeAlias

import bayescale.models  # noqa: F401  (declaring a law registers it)
from bayescale.errors import UsageError, did_you_mean
from bayescale.law import Law
from bayescale.law.law import REGISTRY

LawLike: TypeAlias = str | Law | type[Law]
"""Whatever names a law: its registered name or ``file.py:Name``, a law, its class."""


def laws() -> dict[str, type[Law]]:
    """Every registered law, by name: those that ship and those declared in this process."""
    return dict(sorted(REGISTRY.items()))


def law_from(spec: LawLike) -> Law:
    """A law from whatever names one: a law, its class, its registered name, or ``file.py:Name``.

    Raises
    ------
    UsageError
        Where nothing of that name exists, or the file does not declare it.
    """
    if isinstance(spec, Law):
        return spec
    if inspect.isclass(spec) and issubclass(spec, Law) and spec is not Law:
        return spec()
    if not isinstance(spec, str):
        raise UsageError(f"a law is given by name, as a law, or as 'file.py:Name', not as {type(spec).__name__}")
    if ".py" in spec:
        return _law_in_file(spec)()
    known = laws()
    if spec not in known:
        raise UsageError(f"there is no law {spec!r}{did_you_mean(spec, known)}; `bayescale laws` lists them")
    return known[spec]()


def _law_in_file(spec: str) -> type[Law]:
    path, _, name = spec.partition(".py:") if ".py:" in spec else (spec.removesuffix(".py"), "", "")
    file = Path(path + ".py")
    if not os.path.isfile(file):
        raise UsageError(f"there is no file {str(file)!r} to read a law from")
    label = f"bayescale_law_{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:12]}"
    module_spec = importlib.util.spec_from_file_location(label, file)
    assert module_spec is not None and module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[label] = module
    try:
        module_spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[label]
        raise UsageError(f"{file} cannot be read as a law: {type(error).__name__}: {error}") from error
    found = {
        key: c
        for c in vars(module).values()
        if inspect.isclass(c) and issubclass(c, Law) and c.__module__ == label
        for key in (c.name, c.__name__)
    }
    if not name and len(set(found.values())) == 1:
        return next(iter(found.values()))
    if name not in found:
        raise UsageError(f"{file} declares {', '.join(sorted(found)) or 'no law'}; write {file}:NAME with one of them")
    return found[name]
