"""Data sets: small ones that ship with the package, larger ones fetched from pinned addresses."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import pandas as pd

from bayescale.errors import DataError, UsageError, did_you_mean
from bayescale.runs.datasets.originals import TIDY
from bayescale.runs.delimited import read_exactly

FOLDER = "BAYESCALE_DATA"  # names a folder laid out as <set>/original/<file>, read before any download


@dataclass(frozen=True)
class DataSet:
    """What a data set is and where it comes from.

    Attributes
    ----------
    name : str
        What `load` calls it.
    rows : int
        How many rows its table has.
    kind : {"published", "simulated", "download"}
        Typed from a publication, simulated, or fetched when first asked for.
    title, source, licence : str
        What it holds, where it is from, under which terms.
    repository, commit : str
        Of a download: the GitHub repository and the commit its files are pinned at.
    """

    name: str
    rows: int
    kind: Literal["published", "simulated", "download"]
    title: str
    source: str
    licence: str
    repository: str = ""
    commit: str = ""


# Cerebras-GPT, number by number. C: Table 8 of the paper, the model zoo README and the model cards agree.
# loss: Tables 3 and 8 and the model zoo README; the model cards differ by up to 0.05 in five rows and are
# kept as model_card_loss. D: steps x batch x 2048 of the model cards, equal to Table 1 (2.2B to 257.1B) in
# every printed digit. N: total parameters counted from the published shapes (50257 tokens, 2048 positions);
# 20 N = D to 1 in 1e4.
_SETS = (
    DataSet(
        name="palm2",
        rows=12,
        kind="published",
        title="PaLM 2 isoFLOP runs at 1e20, 1e21 and 1e22 FLOPs, with the published optimum of each budget",
        source="Anil et al. 2023, PaLM 2 technical report, https://arxiv.org/abs/2305.10403",
        licence="facts from a published table",
    ),
    DataSet(
        name="cerebras_gpt",
        rows=7,
        kind="published",
        title="Cerebras-GPT 111M to 13B at 20 tokens a parameter, loss on the Pile test set",
        source="Dey et al. 2023, Tables 1 and 8, https://arxiv.org/abs/2304.03208; batches and steps from "
        "https://huggingface.co/cerebras/Cerebras-GPT-13B",
        licence="facts from a published table; models Apache-2.0",
    ),
    DataSet(
        name="simulated_kaplan",
        rows=63,
        kind="simulated",
        title="Simulated: L(N, D) of Kaplan et al. on a 9 x 7 grid, Student-t(4) noise of 0.3 % on log loss",
        source="Kaplan et al. 2020, eq. 1.5 and Table 2, https://arxiv.org/abs/2001.08361; seed 0",
        licence="none needed",
    ),
    DataSet(
        name="epoch_chinchilla",
        rows=245,
        kind="download",
        title="Chinchilla runs read off the published figure; epoch_in_fit marks the 240 that were fitted",
        source="Besiroglu et al. 2024, https://arxiv.org/abs/2404.10102, of Hoffmann et al. 2022",
        licence="no licence file; facts read off a published figure",
        repository="epoch-research/analyzing-chinchilla",
        commit="92258837425e1b5f2851d624287f0120583a3d0e",
    ),
    DataSet(
        name="routing",
        rows=223,
        kind="download",
        title="Routed language models: last validation loss against N and the number of experts E",
        source="Clark et al. 2022, https://arxiv.org/abs/2202.01169",
        licence="CC-BY-4.0",
        repository="google-deepmind/scaling_laws_for_routing",
        commit="42da0c392b127df2c01fa7b705f72396050d05e5",
    ),
    DataSet(
        name="gemstones",
        rows=3855,
        kind="download",
        title="Gemstones: many checkpoints a run at many widths and depths, in ten subsets that share runs",
        source="McLeish et al. 2025, https://github.com/mcleish7/gemstone-scaling-laws",
        licence="MIT",
        repository="mcleish7/gemstone-scaling-laws",
        commit="5f420478f6057b0cbb4d13405fb10ca64675bccb",
    ),
    DataSet(
        name="mpl",
        rows=6265,
        kind="download",
        title="Loss curves under nine learning-rate schedules at three sizes; split is the authors' own",
        source="Luo et al. 2025, https://github.com/thu-yao-01-luo/MultiPowerLaw",
        licence="MIT",
        repository="thu-yao-01-luo/MultiPowerLaw",
        commit="8da9f1902602f3391b971a811e3cc51604541769",
    ),
)
_BY_NAME = {entry.name: entry for entry in _SETS}


def names() -> list[str]:
    """Return the names of all data sets, those that ship first."""
    return list(_BY_NAME)


def info(name: str) -> DataSet:
    """Describe a data set.

    Raises
    ------
    UsageError
        No data set has that name.
    """
    if name not in _BY_NAME:
        hint = did_you_mean(name, _BY_NAME)
        raise UsageError(f"no data set is called {name!r}{hint}; data sets: {', '.join(_BY_NAME)}")
    return _BY_NAME[name]


def table(name: str) -> pd.DataFrame:
    """A data set as it is kept, with standard column names, its files downloaded first where it has some.

    Raises
    ------
    UsageError
        No data set has that name.
    DataError
        A file could not be downloaded, or is not the pinned one.
    """
    entry = info(name)
    if entry.kind == "download":
        frame = TIDY[name](fetch(name))
    else:
        with resources.as_file(resources.files(__package__) / f"{name}.csv") as path:
            frame = read_exactly(path)
    notes = [f"{name} is simulated, not measured"] if entry.kind == "simulated" else []
    frame.attrs = {"source": f"{name} ({entry.source})", "notes": notes}
    return frame


def fetch(name: str) -> list[Path]:
    """Return the original files of a downloaded data set, every one checked against its SHA-256.

    They are taken from the folder that ``BAYESCALE_DATA`` names (``<set>/original/<file>``), else from the
    user's cache, else from the pinned commit on GitHub.

    Raises
    ------
    UsageError
        No data set has that name, or it ships with the package.
    DataError
        A file could not be downloaded, or is not the pinned one.
    """
    entry = info(name)
    if entry.kind != "download":
        raise UsageError(f"{name} ships with the package and has no files to fetch; load it")
    return [_local(entry, pin) or _download(entry, pin) for pin in _pins() if pin["set"] == name]


def _pins() -> list[dict[str, str]]:
    text = (resources.files(__package__) / "pins.csv").read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))


def _local(entry: DataSet, pin: Mapping[str, str]) -> Path | None:
    folder = os.environ.get(FOLDER)
    if not folder:
        return None
    path = Path(folder).expanduser() / entry.name / "original" / pin["file"]
    if not path.is_file():
        return None
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != pin["sha256"]:
        raise DataError(
            f"{path} is not the pinned file: its SHA-256 is {found}, expected {pin['sha256']}; "
            f"remove it to download the original, or unset {FOLDER}"
        )
    return path


def _download(entry: DataSet, pin: Mapping[str, str]) -> Path:
    import pooch

    file = Path(pin["file"])
    url = f"https://raw.githubusercontent.com/{entry.repository}/{entry.commit}/{quote(pin['path'])}"
    try:
        fetched = pooch.retrieve(
            url,
            known_hash=f"sha256:{pin['sha256']}",
            fname=file.name,
            path=pooch.os_cache("bayescale") / entry.name / "original" / file.parent,
        )
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise DataError(
            f"{entry.name}: could not download {url} ({reason}); connect to the network, or set {FOLDER} "
            f"to a folder that holds {entry.name}/original/{pin['file']}"
        ) from None
    return Path(fetched)
