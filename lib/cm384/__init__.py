"""CloudMatrix 384 from first principles: derive the published figures and check the claims.

>>> import cm384
>>> specs = cm384.load_specs()
>>> print(cm384.units.text(cm384.derive("hbm_bandwidth", "cloudmatrix-384", specs)))
1,229 TB/s
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cm384.derive.derivation import derive, explain, ratio
from cm384.derive.spread import span
from cm384.table import units
from cm384.table.errors import InputError
from cm384.table.records import Deployment
from cm384.table.specs import Specs, load_specs

if TYPE_CHECKING:
    from cm384.ledger.claims import load_claims
    from cm384.ledger.robustness import solve
    from cm384.ledger.verdicts import scorecard
    from cm384.physics import at_work, hardware, served, training
    from cm384.physics.estimate import Estimated, estimate
    from cm384.physics.models import load_model
    from cm384.physics.serving import decode, prefill

__version__ = "0.1.0"
__all__ = ["Deployment", "Estimated", "InputError", "Specs", "decode", "derive", "estimate", "explain"]
__all__ += [
    "at_work",
    "hardware",
    "load_claims",
    "load_model",
    "load_specs",
    "prefill",
    "ratio",
    "scorecard",
    "served",
    "solve",
    "span",
    "training",
    "units",
]

# The model and what answers claims are imported when a name of theirs is asked for: a third of a start.
_LATER = {
    **dict.fromkeys(("decode", "prefill"), "physics.serving"),
    **dict.fromkeys(("Estimated", "estimate"), "physics.estimate"),
    **{name: f"physics.{name}" for name in ("at_work", "hardware", "served", "training")},
    "load_claims": "ledger.claims",
    "load_model": "physics.models",
    "scorecard": "ledger.verdicts",
    "solve": "ledger.robustness",
}


def __getattr__(name: str) -> Any:
    """A name of the model or of the ledger, from its module, or that module itself."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_LATER[name]}")
    return getattr(module, name, module)
