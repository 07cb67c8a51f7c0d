"""Errors in what a law's author wrote, told as such: which law and method, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import jax

from bayescale.errors import BayescaleError, UsageError

if TYPE_CHECKING:
    from bayescale.law.law import Law


@contextmanager
def users_code(law: Law, part: str) -> Iterator[None]:
    """Say of an error in what a law's author wrote where it is and what to do; `part` is a method of the law.

    Raises
    ------
    UsageError
        In place of any error that is not bayescale's own.
    """
    try:
        yield
    except BayescaleError:
        raise
    except jax.errors.JAXTypeError as error:
        raise UsageError(
            f"{part} of law {law.name} uses what takes plain numbers only, such as math, numpy or an if; use jax.numpy "
            "there (import jax.numpy as jnp): jnp.log(N) for math.log(N), jnp.where(N > 1, a, b) for an if"
        ) from error
    except Exception as error:
        said = " ".join(str(error).split())
        raise UsageError(f"{part} of law {law.name} fails with {type(error).__name__}: {said}; mend the law") from error
