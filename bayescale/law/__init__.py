"""What a law is: how one is declared, evaluated, written as text, and varied by groups of runs."""

from bayescale.law.law import FLOPS_PER_PARAMETER_TOKEN as FLOPS_PER_PARAMETER_TOKEN
from bayescale.law.law import PF_DAY as PF_DAY
from bayescale.law.law import Centre as Centre
from bayescale.law.law import Law as Law
from bayescale.law.law import Param as Param
from bayescale.law.law import Stated as Stated
from bayescale.law.law import at_rows as at_rows
from bayescale.law.law import derived as derived
from bayescale.law.law import evaluate as evaluate
from bayescale.law.law import setting_text as setting_text
from bayescale.law.law import stated as stated
from bayescale.law.varying import AnyLaw as AnyLaw
from bayescale.law.varying import Varying as Varying
