"""Whether a command has printed its JSON object: a failure then prints no second one."""

from __future__ import annotations

from contextvars import ContextVar

PRINTED: ContextVar[bool] = ContextVar("printed", default=False)
"""Whether a command has written its JSON object: what fails after it writes no second one."""
