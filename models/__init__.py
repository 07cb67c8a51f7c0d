"""The laws, one file a family; `bayescale laws` lists them. To add one, add a class here or in a file of your own."""

if __name__ != "bayescale.models":
    raise ImportError("import bayescale.models, not models")

from bayescale.models.additive import ChinchillaNoFloor, ChinchillaTied, Coupled
from bayescale.models.batch import BatchSweep, CriticalBatch
from bayescale.models.chinchilla import Chinchilla
from bayescale.models.kaplan import KaplanC, KaplanCmin, KaplanD, KaplanE, KaplanN, KaplanND
from bayescale.models.kaplan_steps import KaplanNS, KaplanNSB
from bayescale.models.power_law import PowerLawC, PowerLawD, PowerLawN
from bayescale.models.seed_max import SeedMax
from bayescale.models.transfer import TransferOffset

__all__ = [
    "BatchSweep",
    "Chinchilla",
    "ChinchillaNoFloor",
    "ChinchillaTied",
    "Coupled",
    "CriticalBatch",
    "KaplanC",
    "KaplanCmin",
    "KaplanD",
    "KaplanE",
    "KaplanN",
    "KaplanND",
    "KaplanNS",
    "KaplanNSB",
    "PowerLawC",
    "PowerLawD",
    "PowerLawN",
    "SeedMax",
    "TransferOffset",
]
