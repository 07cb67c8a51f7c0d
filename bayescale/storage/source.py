"""Whether a law is the one that made a file: a hash of its priors and its source."""

from __future__ import annotations

import hashlib
import inspect
from types import CodeType
from typing import Any

from bayescale.law import Law, setting_text


def source_hash(law: type[Law]) -> str:
    """SHA-256 of a law's priors and source text, inherited ones too: whether two laws of one name are one law."""
    texts = [f"{n} ~ {setting_text(getattr(law, n))}" for n in law.fields]
    for cls in law.__mro__[: law.__mro__.index(Law)]:
        texts.append(_source(cls) or f"{cls.__qualname__} {law.fields} {law.inputs} {_methods(cls)}")
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _source(code: Any) -> str:
    try:
        return inspect.getsource(code)
    except (OSError, TypeError):
        return ""


def _methods(cls: type) -> list[str]:
    """The methods of a class that is in no file, as a notebook's: their source, or what Python made of it."""
    return [f"{n} {_source(f) or _compiled(f.__code__)}" for n, f in vars(cls).items() if inspect.isfunction(f)]


def _compiled(code: CodeType) -> str:
    constants = [_compiled(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {constants}"
