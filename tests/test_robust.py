"""Hard to break: disks that fill up, processes that are killed, files that rot, text that steers terminals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from conftest import EVERY

from bayescale.catalogue import laws
from bayescale.cli import main
from bayescale.errors import DataError, UsageError, printable
from bayescale.fit import Fit, fit
from bayescale.loading import load
from bayescale.runs import read_runs
from bayescale.storage.atomic import whole_file

ESCAPE = "\x1b]0;owned\x07\x1b[2J"


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Status, output and errors of a command line."""
    with pytest.raises(SystemExit, match=r"^\d+$") as stopped:
        main(list(arguments))
    captured = capsys.readouterr()
    return int(stopped.value.code or 0), captured.out, captured.err


# --- disks and processes ----------------------------------------------------------------------------------------------

FULL = """
import os, resource, signal, sys
import bayescale.fit
from bayescale.cli import main

found = bayescale.load("fit.nc")
sys.modules["bayescale.fit"].fit = lambda *_, **__: found
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
for line in sys.argv[1:]:
    try:
        main(line.split())
    except SystemExit as stopped:
        print("status", stopped.code, flush=True)
"""
WRITERS = [
    "fit runs.csv -o old.nc",
    "data palm2 -o old.csv",
    "plot loss fit.nc -o old.png",
    "report fit.nc -o old.html",
]


def test_a_file_keeps_its_mode_and_a_new_one_has_the_umasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(os, "umask", lambda mask: asked.append(mask) or 0)  # it is of all threads: not to be touched
    path, other = tmp_path / "fit.nc", tmp_path / "other"
    other.touch()
    for mode in (None, 0o600, 0o664):
        if mode is not None:
            path.chmod(mode)
        with whole_file(path) as temporary:
            temporary.write_bytes(b"whole")
        expected = other.stat().st_mode & 0o777 if mode is None else mode
        assert path.stat().st_mode & 0o777 == expected and not asked
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fit.nc", "other"]


def test_a_disk_that_fills_up_in_earnest(
    python: Any, saved: Path, table: pd.DataFrame, borrowed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel refuses to write beyond 200 bytes: every command says so and leaves what was there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fit.nc").write_bytes(saved.read_bytes())
    table.to_csv("runs.csv", index=False)
    for line in WRITERS:
        Path(line.split()[-1]).write_bytes(b"the old file")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    done = python(FULL, *WRITERS, BAYESCALE_CACHE=borrowed)
    assert done.stdout.count("status 2") == len(WRITERS), done.stdout + done.stderr
    assert done.stderr.count("cannot write old.") == len(WRITERS) and "Traceback" not in done.stderr
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_process_killed_while_it_writes_leaves_the_old_file(
    python: Any, saved: Path, borrowed: str, tmp_path: Path
) -> None:
    old = tmp_path / "fit.nc"
    old.write_bytes(b"the old file")
    script = """
import os, signal, sys
from pathlib import Path
import bayescale as bs

def half(path, content):
    with open(path, "wb") as file:
        file.write(content[: len(content) // 2])
    os.kill(os.getpid(), signal.SIGKILL)

found = bs.load(sys.argv[1])
write = Path.write_bytes
Path.write_bytes = lambda path, content: (half if "fit.nc" in path.name else write)(path, content)
found.save(sys.argv[2])
"""
    done = python(script, str(saved), str(old), BAYESCALE_CACHE=borrowed)
    assert done.returncode == -signal.SIGKILL and old.read_bytes() == b"the old file"
    load(saved).save(old)
    assert load(old).converged


def test_an_interrupted_fit_keeps_the_old_file(table: pd.DataFrame, cache: str, tmp_path: Path) -> None:
    """Ctrl-C, for real, as soon as the sampler's progress shows."""
    table.to_csv(tmp_path / "runs.csv", index=False)
    (tmp_path / "fit.nc").write_bytes(b"the old file")
    script = """
import signal, sys, bayescale.fit
from bayescale.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored

def slow(*arguments, **keywords):
    import time
    print("sampling", flush=True)
    time.sleep(60)

sys.modules["bayescale.fit"].sample = slow
main(["fit", "runs.csv", "-o", "fit.nc"])
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "sampling\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130 and "interrupted" in errors and "Traceback" not in errors
    assert (tmp_path / "fit.nc").read_bytes() == b"the old file"
    assert sorted(os.listdir(tmp_path)) == ["fit.nc", "runs.csv"]


FIT = """
import json, sys, time, bayescale as bs
from pathlib import Path
while len(sys.argv) > 1 and not Path(sys.argv[1]).exists():
    time.sleep(0.01)
found = bs.fit("chinchilla", "palm2", method="laplace")
print(json.dumps({n: float(x.mean()) for n, x in found.constants.items()}))
"""


@pytest.mark.slow
def test_two_processes_fill_one_cache_at_once_and_a_third_survives_its_damage(tmp_path: Path) -> None:
    environment = {**os.environ, "BAYESCALE_CACHE": str(tmp_path / "programs")}
    gate = tmp_path / "go"
    both = [
        subprocess.Popen(
            [sys.executable, "-c", FIT, str(gate)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    time.sleep(0.5)
    gate.touch()
    results = [process.communicate(timeout=300) for process in both]
    assert all(process.returncode == 0 for process in both), results
    one, two = (json.loads(out) for out, _ in results)
    assert one == two
    programs = [p for p in (tmp_path / "programs").rglob("*") if p.is_file() and p.stat().st_size > 1000]
    assert programs
    for program in programs:  # as a process leaves them that is killed while it writes
        program.write_bytes(program.read_bytes()[:500])
    third = subprocess.run([sys.executable, "-c", FIT], env=environment, capture_output=True, text=True, timeout=300)
    assert third.returncode == 0, third.stderr
    assert json.loads(third.stdout) == one


# --- files that rot ---------------------------------------------------------------------------------------------------


def rotten(whole: bytes, rng: np.random.Generator) -> bytes:
    """A file with a bit flipped, a byte of its head replaced, a stretch zeroed, or its end cut off."""
    content, kind = bytearray(whole), rng.integers(4)
    at = int(rng.integers(2048 if kind == 1 else len(content)))
    if kind == 0:
        content[at] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        content[at] = int(rng.integers(256))
    elif kind == 2:
        content[at : at + 512] = bytes(len(content[at : at + 512]))
    else:
        del content[at:]
    return bytes(content)


def check_rotten(saved: Path, path: Path, seeds: range) -> None:
    whole, sound = saved.read_bytes(), load(saved)
    assert isinstance(sound, Fit)
    refused = 0
    for seed in seeds:
        content = rotten(whole, np.random.default_rng(seed))
        if content == whole:
            continue
        path.write_bytes(content)
        try:
            found = load(path)
        except UsageError as error:
            assert len(str(error)) > 20
            refused += 1
            continue
        assert isinstance(found, Fit)  # bytes that hold nothing: unused space, padding
        assert all(np.array_equal(found.constants[n], x) for n, x in sound.constants.items()), seed
        assert np.array_equal(found.samples.z, sound.samples.z) and str(found) == str(sound), seed
    assert refused > 0.8 * len(seeds)


def test_a_rotten_file_is_refused_or_the_same(saved: Path, tmp_path: Path) -> None:
    check_rotten(saved, tmp_path / "rotten.nc", range(24))


@pytest.mark.study
def test_many_rotten_files_are_refused_or_the_same(saved: Path, tmp_path: Path) -> None:
    check_rotten(saved, tmp_path / "rotten.nc", range(100, 600))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f["posterior/E"].__setitem__((0, 0), 1.0), "its numbers are not those that were saved"),
        (lambda f: f["unconstrained_posterior/z"].__setitem__((0, 0, 0), 1.0), "its numbers are not those"),
        (lambda f: f["log_likelihood/loss"].__setitem__((0, 0, 0), 1.0), "its numbers are not those"),
        (lambda f: f.attrs.__delitem__("bayescale_sha256"), "has no checksum: it was written by an older bayescale"),
        (lambda f: f.attrs.__setitem__("bayescale_format", 99), r"newer bayescale \(format 99, this one reads 2\)"),
        (lambda f: f.attrs.__setitem__("bayescale_format", "one"), "is damaged: ValueError"),
        (lambda f: f.attrs.__setitem__("bayescale", "[1]"), "is damaged"),
        (
            lambda f: f.attrs.__setitem__("bayescale", re.sub(r'"seed": \d+', '"seed": 77', f.attrs["bayescale"])),
            "not those",
        ),
        (lambda f: f.__delitem__("prior"), "its numbers are not those"),
    ],
)
def test_a_changed_file_is_refused_with_a_reason(saved: Path, tmp_path: Path, change: Any, message: str) -> None:
    path = tmp_path / "changed.nc"
    path.write_bytes(saved.read_bytes())
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(UsageError, match=message):
        load(path)


AUDIT = """
import sys
import bayescale as bs

bs.load(sys.argv[1])  # what loading needs is imported by now
seen = []
FORBIDDEN = ("pickle.find_class", "exec", "compile", "import", "os.system", "subprocess.Popen", "socket.connect")
sys.addaudithook(lambda event, arguments: seen.append((event, str(arguments)[:80])) if event in FORBIDDEN else None)
for path in sys.argv[1:]:
    try:
        print("loaded", bs.load(path).law.name)
    except bs.errors.UsageError as error:
        print("refused", str(error)[:60])
print("seen", [s for s in seen if "tmp" in s[1] or s[0] != "import"])
"""


def test_loading_executes_nothing(python: Any, saved: Path, tmp_path: Path) -> None:
    """Python's own audit events, with a file that asks for code in every place that holds text."""
    path, trap = tmp_path / "trap.nc", tmp_path / "trap.py"
    trap.write_text("raise SystemExit('executed')")
    path.write_bytes(saved.read_bytes())
    with h5py.File(path, "r+") as file:
        spec = json.loads(file.attrs["bayescale"])
        spec["law"] = f"{trap}:Trap"
        spec["constants"]["E"] = f"__import__('runpy').run_path({str(trap)!r})"
        file.attrs["bayescale"] = json.dumps(spec)
        file["posterior"].attrs["pickled"] = np.void(b"cos\nsystem\n(S'true'\ntR.")
    done = python(AUDIT, str(saved), str(path))
    assert "loaded chinchilla" in done.stdout and "refused" in done.stdout and "executed" not in done.stdout
    events = done.stdout.split("seen ")[1]
    assert "pickle" not in events and "os.system" not in events and "trap" not in events, events


# --- text that steers terminals ---------------------------------------------------------------------------------------


def test_printable_text() -> None:
    assert printable("a\x1b[31mb\r\n\u202ec\x9b") == r"a\x1b[31mb\r\n\u202ec\x9b"
    assert printable("é = 0,1 µ 训练") == "é = 0,1 µ 训练" and printable("\udcff") == r"\udcff"
    assert str(DataError(f"column {ESCAPE}")) == "column \\x1b]0;owned\\x07\\x1b[2J"


@pytest.mark.parametrize("where", ["column", "label", "cell", "file"])
def test_what_a_table_says_cannot_steer_the_terminal(
    capsys: pytest.CaptureFixture[str], table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.chdir(tmp_path)
    name, rows = "runs.csv", table.copy()
    if where == "column":
        rows[f"seed{ESCAPE}"] = 1
        rows = rows.rename(columns={"loss": f"lo{ESCAPE}ss"})
    elif where == "label":
        rows["group"] = [f"g{ESCAPE}{i % 2}" for i in range(len(rows))]
        rows = pd.concat([rows, rows.iloc[:2]])
    elif where == "cell":
        rows["loss"] = rows["loss"].astype(object)
        rows.loc[3, "loss"] = f"2.0{ESCAPE}"
    else:
        name = f"ru{ESCAPE}ns.csv"
    rows.to_csv(name, index=False)
    lines = [
        ["fit", name, "--method", "laplace", "-o", "fit.nc"],
        ["fit", name, "--method", "laplace", "--where", "group=x"],
        ["fit", name, "--method", "laplace", "--column", "N=x"],
        ["fit", name, "--law", "kaplan_c", "--method", "laplace", "--where", f"{ESCAPE}=1"],
        ["compare", name, "--law", "chinchilla", "--law", "kaplan_nd", "--method", "laplace"],
        ["predict", "fit.nc", "--N", "1e9", "--D", f"1{ESCAPE}"],
        [f"fi{ESCAPE}t"],
        ["fit", name, f"--la{ESCAPE}"],
    ]
    for line in lines:
        _, out, err = said(capsys, *line)
        assert "\x1b" not in out + err and "\x07" not in out + err, line
        assert "this should not happen" not in err


# --- very large and very small tables ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_fewer_rows_than_constants_are_refused(name: str) -> None:
    law = laws()[name]()
    rows = len(law.free)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({n: np.sort(10 ** rng.uniform(0, 1, rows)) for n in (*law.inputs, law.metric)})
    frame[law.metric] = frame[law.metric].to_numpy()[::-1]
    if "error" in frame:
        frame["error"] /= 10
    if "schedule" in frame:
        frame["schedule"] = "0:3e-4"
    for count in range(1, rows + 1):
        with pytest.raises(DataError, match=rf"{name} has {rows} constants?; the table has {count} rows?"):
            fit(name, frame.iloc[:count])


def test_a_million_rows_are_read(tmp_path: Path) -> None:
    rows = 1_000_000
    values = np.linspace(1.0, 2.0, rows)
    path = tmp_path / "many.csv"
    pd.DataFrame({"N": 1e9 * values, "D": 1e10 * values, "loss": 4 - values}).to_csv(path, index=False)
    assert read_runs(path).shape == (rows, 4)


@pytest.mark.study
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="no /proc to read a peak of memory from")
def test_a_hundred_thousand_rows(python: Any, tmp_path: Path) -> None:
    """Read, fitted by Laplace and saved in minutes and three gigabytes."""
    rng = np.random.default_rng(0)
    rows = 100_000
    N, D = 10 ** rng.uniform(7, 10, rows), 10 ** rng.uniform(9, 12, rows)
    loss = 1.8172 + 482.01 * N**-0.3478 + 2085.43 * D**-0.3658
    path = tmp_path / "many.csv"
    pd.DataFrame({"N": N, "D": D, "loss": loss * np.exp(0.004 * rng.standard_t(5, rows))}).to_csv(path, index=False)
    script = """
import json, sys, time
import bayescale as bs
begun = time.perf_counter()
found = bs.fit("chinchilla", sys.argv[1], method="laplace")
fitted = time.perf_counter()
found.save(sys.argv[2])
# not getrusage's peak, which begins with that of the process that started this one
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({
    "fit": fitted - begun, "save": time.perf_counter() - fitted, "converged": found.converged,
    "gigabytes": peak / 2**20,
    "E": found.summary().loc["E", ["median", "sd"]].tolist(), "failures": found.failures,
}))
"""
    done = python(script, str(path), str(tmp_path / "many.nc"))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["converged"], result["failures"]
    assert abs(result["E"][0] - 1.8172) < 5 * result["E"][1] < 0.01
    assert result["gigabytes"] < 3
