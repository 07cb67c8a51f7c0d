"""Errors in what a law's author wrote, told as such: which law and method, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import jax

from bayescale.errors import BayescaleError, UsageError


@contextmanager
def users_code(law: str, part: str) -> Iterator[None]:
    """Say of an error in what a law's author wrote where it is and what to do; of the law by name, and a method of it.

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
            f"{part} of law {law} uses what takes plain numbers only, such as math, numpy or an if; use jax.numpy "
            "there (import jax.numpy as jnp): jnp.log(N) for math.log(N), jnp.where(N > 1, a, b) for an if"
        ) from error
    except Exception as error:
        said = " ".join(str(error).split())
        raise UsageError(f"{part} of law {law} fails with {type(error).__name__}: {said}; mend the law") from error
