"""Compiled programs: built once for each shape of their arguments, ahead of need and in the background."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np

_COMPILERS = ThreadPoolExecutor(max_workers=3, thread_name_prefix="bayescale-compile")
_SUBMITTED: weakref.WeakSet[Future[Any]] = weakref.WeakSet()
_CACHE_READY = threading.Lock()
TRACING = threading.RLock()
"""NumPyro keeps one stack of handlers a process: models traced in two threads at once would mix their sites."""
compilations = 0
"""How many programs this process has built (from source or from the persistent cache)."""


class Program:
    """A function of arrays that compiles once for each structure, shape and type of its arguments, in float64.

    Data enter as arguments, so that a program serves every table of its padded size; `prepare` starts
    the compilation in the background, and calls from several threads share one executable.
    """

    def __init__(self, function: Callable[..., Any], *, fast_code: bool = True) -> None:
        self.function = function
        # what runs once is not worth optimising
        self.options: dict[str, str | bool] | None = None if fast_code else {"xla_backend_optimization_level": "0"}
        self.executables: dict[Any, Future[Any]] = {}
        self.lock = threading.Lock()

    def prepare(self, *arguments: Any) -> Future[Any]:
        """Start compiling for arguments of these shapes; returns the executable's future."""
        leaves, structure = jax.tree.flatten(arguments)
        key = (structure, tuple((np.shape(x), _dtype(x)) for x in leaves))
        with self.lock:
            if key not in self.executables or _failed(self.executables[key]):
                shapes = [jax.ShapeDtypeStruct(np.shape(x), _dtype(x)) for x in leaves]
                self.executables[key] = _COMPILERS.submit(self._build, jax.tree.unflatten(structure, shapes))
                _SUBMITTED.add(self.executables[key])
            return self.executables[key]

    def _build(self, arguments: tuple[Any, ...]) -> Any:
        global compilations
        use_persistent_cache()
        compilations += 1
        with jax.enable_x64(True):
            with TRACING:
                lowered = jax.jit(self.function).lower(*arguments)
            return lowered.compile(compiler_options=self.options)

    def __call__(self, *arguments: Any) -> Any:
        """Run the program, compiling it first where that has not been done."""
        executable = self.prepare(*arguments).result()
        with jax.enable_x64(True):
            return executable(*arguments)


def in_blocks(program: Program, points: Any, *rest: Any, size: int = 1000) -> Any:
    """A program's results at n points, in blocks of one size so that it compiles once; each leaf has n rows."""
    count = len(jax.tree.leaves(points)[0])

    def block(start: int) -> Any:
        def filled(x: np.ndarray) -> np.ndarray:
            part = x[start : start + size]
            return np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])

        return jax.tree.map(np.asarray, program(jax.tree.map(filled, points), *rest))

    parts = [block(start) for start in range(0, count, size)]
    return jax.tree.map(lambda *x: np.concatenate(x)[:count], *parts)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cancel() -> None:
    """Forget what waits to be compiled, so that an interrupted process does not stay for it."""
    for waiting in list(_SUBMITTED):
        waiting.cancel()


def _failed(future: Future[Any]) -> bool:
    """Whether a program was not built: what failed once, for want of memory or of a disk, is tried anew."""
    return future.done() and (future.cancelled() or future.exception() is not None)


def _dtype(x: Any) -> Any:
    return x.dtype if hasattr(x, "dtype") else np.result_type(x)  # numpy's own question deprecates a JAX array's answer


def use_persistent_cache() -> None:
    """Point JAX's persistent compilation cache at the user's cache folder, unless one is configured.

    BAYESCALE_CACHE names another folder, or 'off'.
    """
    with _CACHE_READY:
        if getattr(jax.config, "jax_compilation_cache_dir", None) is not None:
            return
        folder = os.environ.get("BAYESCALE_CACHE") or str(user_cache() / "programs")
        if folder == "off":
            return
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
        except OSError:
            return  # a read-only home only costs time
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def user_cache() -> Path:
    """The user's cache folder for bayescale (XDG_CACHE_HOME where set)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bayescale"
