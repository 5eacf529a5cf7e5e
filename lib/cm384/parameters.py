"""The parameters of each notebook, and the check of their values.

The parameters cell of a notebook holds typed literals; the next cell hands them to `check`, which
builds the frozen dataclass of that notebook here and refuses a wrong type or an unknown name. The
command line builds the same dataclass first, so that a bad value starts no kernel.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from cm384 import power, workloads
from cm384.claims import Claim, load_claims
from cm384.deployment import Deployment
from cm384.errors import InputError, check_known
from cm384.paths import EXAMPLES
from cm384.serving import decode, prefill
from cm384.specs import Specs, load_specs
from cm384.transformer import bytes_per_element, load_model
from cm384.validation import Measurement, load_measurements

P = TypeVar("P", bound="Parameters")


@dataclass(frozen=True)
class Parameters:
    """What every notebook takes: a file of specs to add to this project's, or none."""

    specs_file: str

    @property
    def specs(self) -> Specs:
        """The table of specs, with the rows of `specs_file` added."""
        return load_specs(*filter(None, [self.specs_file]))

    def expect(self, name: str, within: bool, expected: str) -> None:
        """Refuse the value of a parameter that is not within its range."""
        if not within:
            given = getattr(self, name)
            raise InputError(f"parameter {name}: expected {expected}, got {given}")


@dataclass(frozen=True)
class Scorecard(Parameters):
    """Parameters of 00-scorecard."""

    claims_file: str

    def __post_init__(self) -> None:
        load_claims(self.claims_file or None, self.specs)

    @property
    def claims(self) -> list[Claim]:
        """The claims of `claims_file`, or this project's."""
        return load_claims(self.claims_file or None, self.specs)


@dataclass(frozen=True)
class Package(Parameters):
    """Parameters of 01-package: two chips that have a peak at one precision."""

    chip: str
    reference: str
    precision: str

    def __post_init__(self) -> None:
        specs = self.specs
        for name in (self.chip, self.reference):
            check_known("chip", name, specs.chips)
            specs.find(name, "peak", precision=self.precision)


@dataclass(frozen=True)
class Supernode(Parameters):
    """Parameters of 02-supernode: two systems whose chips have a peak at one precision."""

    system: str
    baseline: str
    precision: str

    def __post_init__(self) -> None:
        specs = self.specs
        for name in (self.system, self.baseline):
            check_known("system", name, specs.systems)
            for chip in specs.parts(name):
                specs.find(chip, "peak", precision=self.precision)


@dataclass(frozen=True)
class TokenCost(Parameters):
    """Parameters of 05-token-cost."""

    model: str
    context: int
    precision: str

    def __post_init__(self) -> None:
        load_model(self.model)
        bytes_per_element(self.precision)
        self.expect("context", self.context >= 1, "at least 1 token")


@dataclass(frozen=True)
class Prefill(Parameters):
    """Parameters of 06-prefill: a deployment, and published ones to set beside it."""

    model: str
    accelerator: str
    accelerators: int
    expert_parallel: int
    batch: int
    context: int
    precision: str
    routing: str
    microbatches: int
    published: str
    comparators: str

    def __post_init__(self) -> None:
        prefill(self.specs, load_model(self.model), self.deployment)
        _check_measurements([self.published, *self.compared], "prefill", self.specs)

    @property
    def compared(self) -> list[str]:
        """The ids of the published deployments to compare with."""
        return self.comparators.split(";")

    @property
    def deployment(self) -> Deployment:
        """What the parameters describe."""
        return Deployment(
            accelerator=self.accelerator,
            accelerators=self.accelerators,
            expert_parallel=self.expert_parallel,
            batch=self.batch,
            context=self.context,
            matrix_precision=self.precision,
            routing=self.routing,
            microbatches=self.microbatches,
        )


@dataclass(frozen=True)
class Decode(Prefill):
    """Parameters of 07-decode: as in prefill, with drafts and a latency target."""

    output: int
    draft_tokens: int
    tokens_per_step: float
    latency_target: float

    def __post_init__(self) -> None:
        decode(self.specs, load_model(self.model), self.deployment)
        _check_measurements([self.published, *self.compared], "decode", self.specs)
        self.expect("latency_target", self.latency_target > 0, "more than 0 ms")

    @property
    def deployment(self) -> Deployment:
        """What the parameters describe."""
        return dataclasses.replace(
            super().deployment,
            output=self.output,
            draft_tokens=self.draft_tokens,
            tokens_per_step=self.tokens_per_step,
        )


def _check_measurements(ids: Sequence[str], phase: str, specs: Specs) -> None:
    known = [name for name, row in specs.measurements.items() if row.phase == phase]
    for name in ids:
        check_known(f"{phase} measurement", name, known)


@dataclass(frozen=True)
class ModelCheck(Parameters):
    """Parameters of 10-model-check: a file of measurements, and one whose constants are listed."""

    measurements_file: str
    explained: str

    def __post_init__(self) -> None:
        check_known("measurement", self.explained, self.specs.measurements)
        assert self.measurements

    @property
    def measurements(self) -> list[Measurement]:
        """The measurements of `measurements_file`, or this project's."""
        return load_measurements(self.measurements_file or None, self.specs)


@dataclass(frozen=True)
class Fabric(Parameters):
    """Parameters of 03-fabric: two systems whose exchanges are known, and the tokens of a rank."""

    system: str
    baseline: str
    tokens_per_rank: int

    def __post_init__(self) -> None:
        _check_served([self.system, self.baseline], self.specs)
        self.expect("tokens_per_rank", self.tokens_per_rank >= 1, "at least 1")


@dataclass(frozen=True)
class PowerAndPrice(Parameters):
    """Parameters of 04-power-and-price: two systems whose power and kernels are known."""

    system: str
    baseline: str
    electricity_price: float
    utilisation: float

    def __post_init__(self) -> None:
        specs = self.specs
        _check_served([self.system, self.baseline], specs)
        for name in (self.system, self.baseline):
            power.power_basis(specs, name)
        self.expect("electricity_price", 0 < self.electricity_price < 100, "USD/kWh above 0")
        self.expect("utilisation", 0 < self.utilisation <= 1, "above 0 and at most 1")


@dataclass(frozen=True)
class Parity(Parameters):
    """Parameters of 08-h100-parity: two chips, and what they are compared in."""

    chip: str
    reference: str
    workload: str

    def __post_init__(self) -> None:
        specs = self.specs
        for name in (self.chip, self.reference):
            check_known("chip", name, specs.chips)
            specs.find(name, "peak", precision="bf16")
            workloads.serve(specs, name, self.workload)


def _check_served(systems: Sequence[str], specs: Specs) -> None:
    """Refuse what is no system, or one whose accelerators have no sourced kernels."""
    for name in systems:
        check_known("system", name, specs.systems)
        for workload in workloads.WORKLOADS:
            workloads.serve(specs, specs.parts(name)[0], workload)


@dataclass(frozen=True)
class Uncertainty(Parameters):
    """Parameters of 09-uncertainty: how many draws of the sources, and which."""

    samples: int
    seed: int

    def __post_init__(self) -> None:
        self.expect("samples", 1 <= self.samples <= 1_000_000, "1 to 1,000,000")
        self.expect("seed", self.seed >= 0, "0 or more")
        assert self.specs


@dataclass(frozen=True)
class OwnClaim(Parameters):
    """Parameters of 11-your-own-claim: somebody's claims and specs, or the worked example."""

    claims_file: str

    def __post_init__(self) -> None:
        assert self.claims

    @property
    def specs(self) -> Specs:
        """The table with the rows of `specs_file`; the worked example brings rows of its own."""
        example = "" if self.claims_file else str(EXAMPLES / "atlas950_specs.csv")
        return load_specs(*filter(None, [example, self.specs_file]))

    @property
    def claims(self) -> list[Claim]:
        """The claims of `claims_file`, or those of the worked example."""
        return load_claims(self.claims_file or EXAMPLES / "atlas950_claims.csv", self.specs)


@dataclass(frozen=True)
class Judged(Scorecard):
    """Parameters of 12-claims-without-arithmetic."""


PARAMETERS: Mapping[str, type[Parameters]] = {
    "00-scorecard": Scorecard,
    "01-package": Package,
    "02-supernode": Supernode,
    "03-fabric": Fabric,
    "04-power-and-price": PowerAndPrice,
    "05-token-cost": TokenCost,
    "06-prefill": Prefill,
    "07-decode": Decode,
    "08-h100-parity": Parity,
    "09-uncertainty": Uncertainty,
    "10-model-check": ModelCheck,
    "11-your-own-claim": OwnClaim,
    "12-claims-without-arithmetic": Judged,
}


def check(cls: type[P], namespace: Mapping[str, Any]) -> P:
    """Build the parameters of a notebook from its variables; refuse a value of the wrong type.

    >>> check(Package, {"specs_file": "", "chip": 910})
    Traceback (most recent call last):
    ...
    cm384.errors.InputError: parameter chip: expected str, got int 910
    """
    values: dict[str, Any] = {}
    for name, kind in typing.get_type_hints(cls).items():
        if name not in namespace:
            raise InputError(f"parameter {name}: missing; expected {kind.__name__}")
        value = namespace[name]
        kinds = (int, float) if kind is float else kind
        if not isinstance(value, kinds) or isinstance(value, bool) is not (kind is bool):
            given = f"{type(value).__name__} {value!r}"
            raise InputError(f"parameter {name}: expected {kind.__name__}, got {given}")
        values[name] = value
    return cls(**values)
