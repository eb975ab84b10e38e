"""The catalogue: every step, one line each. Validation, schema and commands come from it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, TypeAlias, get_args

from pydantic import Field

from compressor.step import Step
from compressor.steps.bench import Bench
from compressor.steps.clean import Clean
from compressor.steps.diff import Diff
from compressor.steps.doctor import Doctor
from compressor.steps.gate import Gate
from compressor.steps.inspect import Inspect
from compressor.steps.prune import Prune
from compressor.steps.sweep import Sweep
from compressor.steps.verify import Verify

# fmt: off
AnyStep: TypeAlias = Annotated[
    Inspect
    | Prune
    | Verify
    | Diff
    | Bench
    | Sweep
    | Gate
    | Clean
    | Doctor,
    Field(discriminator="step"),
]
# fmt: on

STEPS: Final[Mapping[str, type[Step]]] = MappingProxyType(
    {step.model_fields["step"].default: step for step in get_args(get_args(AnyStep)[0])}
)

COMMANDS_ONLY: Final = frozenset({"clean", "doctor", "gate"})
"""Steps that look after a machine or a report: no recipe has them among its steps."""
