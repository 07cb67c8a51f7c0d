"""The laws, one file a family; `bayescale laws` lists them. To add one, add a class here or in a file of your own."""

if __name__ != "bayescale.models":
    raise ImportError("import bayescale.models, not models")

from bayescale.models.additive import ChinchillaNoFloor, ChinchillaTied, Coupled
from bayescale.models.batch import BatchSweep, CriticalBatch
from bayescale.models.chinchilla import Chinchilla
from bayescale.models.data_constrained import DataConstrained
from bayescale.models.downstream import ErrorExponential, ErrorSigmoid
from bayescale.models.experts import ClarkRouted
from bayescale.models.frontier import Frontier
from bayescale.models.isoflop import IsoFLOP, IsoFLOPs, OptimalD, OptimalN
from bayescale.models.joint_moe import JointMoE
from bayescale.models.kaplan import KaplanC, KaplanCmin, KaplanD, KaplanE, KaplanN, KaplanND
from bayescale.models.kaplan_steps import KaplanNS, KaplanNSB
from bayescale.models.non_embedding import NonEmbedding
from bayescale.models.power_law import PowerLawC, PowerLawD, PowerLawN
from bayescale.models.schedules import Annealing, MultiPower
from bayescale.models.seed_max import SeedMax
from bayescale.models.shapes import BNSL, BNSL2, M3, M4
from bayescale.models.transfer import TransferOffset
from bayescale.models.transferred_data import TransferredData

__all__ = [
    "BNSL",
    "BNSL2",
    "M3",
    "M4",
    "Annealing",
    "BatchSweep",
    "Chinchilla",
    "ChinchillaNoFloor",
    "ChinchillaTied",
    "ClarkRouted",
    "Coupled",
    "CriticalBatch",
    "DataConstrained",
    "ErrorExponential",
    "ErrorSigmoid",
    "Frontier",
    "IsoFLOP",
    "IsoFLOPs",
    "JointMoE",
    "KaplanC",
    "KaplanCmin",
    "KaplanD",
    "KaplanE",
    "KaplanN",
    "KaplanND",
    "KaplanNS",
    "KaplanNSB",
    "MultiPower",
    "NonEmbedding",
    "OptimalD",
    "OptimalN",
    "PowerLawC",
    "PowerLawD",
    "PowerLawN",
    "SeedMax",
    "TransferOffset",
    "TransferredData",
]
