"""Compiled programs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bayescale.compiled import Program


def test_a_program_that_was_not_built_is_tried_anew() -> None:
    """What fails once, for want of memory or of a disk, must not fail every later fit of the process."""
    calls: list[Any] = []

    def twice(x: Any) -> Any:
        calls.append(x)
        if len(calls) == 1:
            raise MemoryError("no room")
        return 2 * x

    program = Program(twice)
    with pytest.raises(MemoryError, match="no room"):
        program(np.arange(3.0))
    assert np.array_equal(program(np.arange(3.0)), [0, 2, 4])
    assert np.array_equal(program(np.arange(3.0)), [0, 2, 4]) and len(calls) == 2
