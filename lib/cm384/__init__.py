"""CloudMatrix 384 from first principles: derive the published figures and check the claims.

>>> import cm384
>>> specs = cm384.load_specs()
>>> print(cm384.units.text(cm384.derive("hbm_bandwidth", "cloudmatrix-384", specs)))
1,229 TB/s
"""

from cm384 import fabric, finance, hardware, power, throughput, units
from cm384.claims import load_claims
from cm384.deployment import Deployment
from cm384.derivation import derive, explain, ratio
from cm384.errors import InputError
from cm384.robustness import solve
from cm384.serving import decode, prefill
from cm384.specs import Specs, load_specs
from cm384.transformer import load_model
from cm384.uncertainty import span
from cm384.verdicts import scorecard

__version__ = "0.1.0"
__all__ = [
    "Deployment",
    "InputError",
    "Specs",
    "decode",
    "derive",
    "explain",
    "fabric",
    "finance",
    "hardware",
    "load_claims",
    "load_model",
    "load_specs",
    "power",
    "prefill",
    "ratio",
    "scorecard",
    "solve",
    "span",
    "throughput",
    "units",
]
