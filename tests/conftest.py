"""What the tests share: a compilation cache, the data folder, and fits that several of them look at."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest
import randomness  # noqa: F401  (shifts seeds)
from scipy import stats

from bayescale.catalogue import laws
from bayescale.cli import main
from bayescale.fit import Fit, fit
from bayescale.law import Law, Param
from bayescale.law.law import REGISTRY
from bayescale.likelihood import Normal
from bayescale.posterior import density as target_module
from bayescale.posterior.data import Data, centre_of, padded
from bayescale.posterior.density import Target
from bayescale.runs import read_runs
from bayescale.studies.calibrate.design import METRICS

SHARED = Path(os.environ.get("BAYESCALE_DATA") or Path(__file__).parents[1] / ".." / "shared" / "data").resolve()


EVERY = [name for name, cls in laws().items() if cls.__module__.startswith("bayescale.models")]
SHIPPED = [name for name in EVERY if "schedule" not in laws()[name].inputs]
"""Laws of numbers; those of schedules have tests of their own."""
CENTRES = {"N": 1e9, "D": 2e10, "C": 1.2e20, "B": 1e6, "U": 1e10, "E": 16.0, **METRICS}
"""Where priors are stated in tests of all laws."""
VALLEYS = ("bnsl", "bnsl_2", "clark_routed", "isoflop", "isoflops", "joint_moe")
"""Laws of a loss that may rise with an input."""


def shared_data(*parts: str) -> Path:
    """A file or folder of the data folder; the test is skipped where there is none."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no {path}; name the data folder in BAYESCALE_DATA")
    return path


def shared_case(name: str) -> Path:
    """A table of the folder of cases beside the data folder; the test is skipped where there is none."""
    path = SHARED.parent / "cases" / name
    if not path.exists():
        pytest.skip(f"no {path}; the folder of cases stands beside the data folder, BAYESCALE_DATA")
    return path


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The compilation cache of this run and of the commands that it starts."""
    before = os.environ.get("BAYESCALE_CACHE")
    base = tmp_path_factory.getbasetemp()
    common = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    os.environ["BAYESCALE_CACHE"] = before or str(common / "programs")
    yield os.environ["BAYESCALE_CACHE"]
    if before is None:
        del os.environ["BAYESCALE_CACHE"]


@pytest.fixture
def borrowed(cache: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A compilation cache with the programs of this run, for a process that may leave it damaged."""
    folder = tmp_path_factory.mktemp("borrowed")
    for program in Path(cache).glob("*-cache"):
        os.link(program, folder / program.name)
    return str(folder)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Call it with a folder: from then on a file that is written there is cut in half, as by a disk without space.

    Other folders have space: JAX writes compiled programs by the same call.
    """
    write = Path.write_bytes

    def fill(folder: Path) -> None:
        def half(path: Path, content: bytes) -> int:
            if folder.resolve() not in path.resolve().parents:
                return write(path, content)
            write(path, content[: len(content) // 2])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_bytes", half)

    return fill


@pytest.fixture(scope="module", autouse=True)
def room_for_programs() -> Iterator[None]:
    """Every compiled program maps memory, and a process may have 65530 maps: XLA crashes where it gets no more."""
    yield
    maps = Path("/proc/self/maps")
    if not maps.is_file() or len(maps.read_bytes().splitlines()) > 20_000:
        target_module._CACHED.clear()
        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="session")
def epoch() -> pd.DataFrame:
    """The 245 Chinchilla runs that Besiroglu et al. read off the published figure."""
    return read_runs(shared_data("epoch_chinchilla", "tidy.csv"))


@pytest.fixture(scope="session")
def epoch240(epoch: pd.DataFrame) -> pd.DataFrame:
    """The 240 of them that were fitted."""
    return epoch[epoch["epoch_in_fit"] == 1]


@pytest.fixture(scope="session")
def epoch_fit(epoch240: pd.DataFrame) -> Fit:
    """`chinchilla` on the 240 rows."""
    return fit("chinchilla", epoch240)


def simulated(rows: int, seed: int = 0, *, sigma: float = 0.004) -> pd.DataFrame:
    """Runs of Besiroglu et al.'s Chinchilla law over three decades of N and of D."""
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(7, 10, rows), 10 ** rng.uniform(9, 12, rows)
    loss = 1.8172 + 482.01 * N**-0.3478 + 2085.43 * D**-0.3658
    return pd.DataFrame({"N": N, "D": D, "loss": loss * np.exp(sigma * rng.standard_t(5, rows))})


@pytest.fixture(scope="session")
def simulate() -> Callable[..., pd.DataFrame]:
    """`simulated`, for tests that want another size or seed."""
    return simulated


@pytest.fixture(scope="session")
def table() -> pd.DataFrame:
    """Thirty simulated runs: nothing to download."""
    return simulated(30)


@pytest.fixture(scope="session")
def small_fit(table: pd.DataFrame) -> Fit:
    """`chinchilla` on the thirty simulated runs."""
    return fit("chinchilla", table)


@pytest.fixture(scope="session")
def saved(small_fit: Fit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`small_fit` in a file."""
    path = tmp_path_factory.mktemp("saved") / "fit.nc"
    small_fit.save(path)
    return path


LINE = '''
"""A law of one's own."""

import numpyro.distributions as dist

from bayescale.law import Law, Param, stated


class Line(Law):
    """L(N) = k + m/log(N)

    A test.
    """

    k: Param = dist.Uniform(0.5, 4.0)
    m: Param = stated("m / log N0 / L0", dist.LogNormal(-1.0, 0.8), lambda q, law, at: q * at.loss * 20.0)

    def loss(self, N):
        from jax.numpy import log

        return self.k + self.m / log(N)
'''


@pytest.fixture
def registry() -> Iterator[dict[str, type[Law]]]:
    """Laws by name; those that are declared in a test are forgotten after it."""
    before = dict(REGISTRY)
    yield REGISTRY
    REGISTRY.clear()
    REGISTRY.update(before)


@pytest.fixture
def own_law(tmp_path: Path, registry: dict[str, type[Law]]) -> Path:
    """A file that declares the law `line`."""
    path = tmp_path / "own.py"
    path.write_text(LINE, encoding="utf-8")
    return path


class Loglinear(Law):
    """log L = a + b x: with normal noise of known scale its posterior is a normal distribution.

    A test.
    """

    a: Param = dist.Normal(0.0, 1.0)
    b: Param = dist.Normal(0.0, 0.5)

    def loss(self, x: Any) -> Any:
        return jnp.exp(self.a + self.b * x)


REGISTRY.pop("loglinear")


class Exact(NamedTuple):
    """A posterior that is known: a target, its data, and what is true of it."""

    target: Target
    data: Data
    mean: np.ndarray
    covariance: np.ndarray
    log_evidence: float


@pytest.fixture(scope="session")
def exact() -> Exact:
    """A linear Gaussian model: Bishop 2006, eqs. 3.50, 3.51 and 2.115, with the Jacobian of the logarithm."""
    rng = np.random.default_rng(0)
    x, scale = np.linspace(0.5, 4.0, 20), 0.3
    log_y = 0.7 - 0.2 * x + scale * rng.standard_normal(20)
    design, prior = np.stack([np.ones(20), x], axis=1), np.array([1.0, 0.25])
    covariance = np.linalg.inv(design.T @ design / scale**2 + np.diag(1 / prior))
    evidence = stats.multivariate_normal(np.zeros(20), design * prior @ design.T + scale**2 * np.eye(20)).logpdf(log_y)
    data = padded({"x": x}, np.exp(log_y), None, centre_of({"x": x}, "loss", np.exp(log_y)), "loss")
    data = data._replace(log_se=None)  # exact to the last digit: not even that of a measurement
    target = Target(Loglinear(), Normal(sigma=scale))
    return Exact(target, data, covariance @ design.T @ log_y / scale**2, covariance, float(evidence - log_y.sum()))


Said = Callable[..., Any]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Said:
    """Run a command; gives what it wrote, as an object where --json is asked for."""

    def run(*arguments: str | Path, status: int = 0) -> Any:
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in arguments])
        done = capsys.readouterr()
        assert ended.value.code == status, done.err
        assert "this should not happen" not in done.err
        return json.loads(done.out) if "--json" in arguments else done.out

    return run


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def python(cache: str) -> Run:
    """Run a script in a fresh interpreter."""

    def run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", script, *arguments],
            capture_output=True, text=True, timeout=900, env={**os.environ, **environment},
        )  # fmt: skip

    return run
