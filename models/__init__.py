"""The laws, one file a family; `bayescale laws` lists them. To add one, add a class here or in a file of your own."""

if __name__ != "bayescale.models":
    raise ImportError("import bayescale.models, not models")

from bayescale.models.chinchilla import Chinchilla
from bayescale.models.kaplan import KaplanC, KaplanCmin, KaplanD, KaplanE, KaplanN, KaplanND
from bayescale.models.power_law import PowerLawC, PowerLawD, PowerLawN

__all__ = [
    "Chinchilla",
    "KaplanC",
    "KaplanCmin",
    "KaplanD",
    "KaplanE",
    "KaplanN",
    "KaplanND",
    "PowerLawC",
    "PowerLawD",
    "PowerLawN",
]
