"""Which tensors a step touches: by default those of `roles`, by name with `--only` and `--skip`."""

from __future__ import annotations

import math
import re
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from types import FrameType
from typing import Final, NoReturn, final

from compressor.checkpoint.read.header import TensorInfo
from compressor.checkpoint.read.reader import Checkpoint, Component, Shard
from compressor.errors import UsageError, listing
from compressor.model import consistency
from compressor.model.roles import Classified, Layout, classify, is_known
from compressor.pruning.geometry import Geometry

PATTERN_SECONDS: Final = 5.0
"""How long all patterns may take over all names of a checkpoint."""

FLOATS = frozenset({"BF16", "F16", "F32", "F64"})


@final
@dataclass(frozen=True)
class Target:
    """One stored tensor with its role. `reason` says why it stays dense; empty: it is touched."""

    component: Component
    shard: Shard
    tensor: TensorInfo
    classified: Classified
    reason: str
    is_named: bool
    """Whether the user named it in full, so that leaving it alone would be a refusal."""

    @property
    def name(self) -> str:
        """The tensor's name, with its component's folder: `unet/conv_in.weight`."""
        return self.component.prefix + self.tensor.name

    @property
    def is_matrix(self) -> bool:
        """Whether it holds weights of two dimensions or more: what honest sparsity divides by."""
        return len(self.tensor.shape) > 1 and self.tensor.dtype in FLOATS

    @property
    def geometry(self) -> Geometry:
        """How its elements lie in the file; only a tensor with a layout has one."""
        shape, count = self.tensor.shape, self.tensor.count
        match self.classified.layout:
            case Layout.OUT_IN:
                return Geometry(False, 1, shape[-1], shape[-2], count)
            case Layout.IN_OUT:
                return Geometry(True, 1, shape[-1], shape[-2], count)
            case Layout.CONVOLUTION | Layout.CONVOLUTION_TRANSPOSED as layout:
                inner = math.prod(shape[2:]) or 1
                is_transposed = layout is Layout.CONVOLUTION_TRANSPOSED
                return Geometry(is_transposed, inner, shape[1] * inner, shape[0], count)
            case Layout.NONE:
                raise ValueError(f"{self.name} is not a matrix")

    def but_dense(self, reason: str) -> Target:
        """The same tensor, left as it is."""
        return replace(self, reason=reason)


def choose(checkpoint: Checkpoint, only: Sequence[str], skip: Sequence[str]) -> list[Target]:
    """Every stored tensor in canonical order, each touched or with the reason why not.

    A pattern is a glob (`*.mlp.*`) or, after `re:`, a regular expression for the whole name. It is
    held against the tensor's name and its module's (`lm_head` means `lm_head.weight`). `only` also
    reaches matrices that stay dense by default. A pattern that meets no tensor is an error.
    """
    with _deadline(f"{listing(pattern for pattern in (*only, *skip) if is_wild(pattern))}"):
        return _chosen(checkpoint, only, skip)


def _chosen(checkpoint: Checkpoint, only: Sequence[str], skip: Sequence[str]) -> list[Target]:
    met: set[str] = set()
    targets = []
    for component in checkpoint.components:
        roles = classify(component)
        for shard, tensor in component.tensors():
            name = component.prefix + tensor.name
            chosen = [pattern for pattern in only if matches(pattern, name)]
            skipped = [pattern for pattern in skip if matches(pattern, name)]
            met.update(chosen, skipped)
            classified = roles[tensor.name]
            if skipped:
                reason = f"--skip {skipped[0]}"
            elif only and not chosen:
                reason = "not named by --only"
            elif classified.layout is Layout.NONE:
                reason = classified.reason or "not a matrix"
            elif tensor.dtype not in FLOATS:
                reason = f"{tensor.dtype} holds no weights"
            else:
                reason = "" if chosen else classified.reason
            is_named = any(not is_wild(pattern) for pattern in chosen)
            targets.append(Target(component, shard, tensor, classified, reason, is_named))
    unmet = [pattern for pattern in (*only, *skip) if pattern not in met]
    if unmet or (only and all(target.reason for target in targets)):
        raise UsageError(
            "RECIPE-NO-MATCH",
            "a tensor pattern selects nothing that can be changed",
            at="--skip" if unmet and unmet[0] in skip else "--only",
            found=f"{listing(unmet or only)}; expected a name, a glob, or re: and an expression "
            f"for the whole name, one for each option",
            do=_advice(unmet[0] if unmet else only[0], targets),
        )
    return targets


@contextmanager
def _deadline(patterns: str) -> Iterator[None]:
    """Refuse expressions that take exponential time. Only a main thread can be interrupted."""
    if not patterns or threading.current_thread() is not threading.main_thread():
        yield
        return

    def too_slow(number: int, frame: FrameType | None) -> NoReturn:
        raise UsageError(
            "RECIPE-PATTERN",
            "a pattern takes too long to be matched with the names of the tensors",
            at="--only or --skip",
            found=f"{patterns}: over {PATTERN_SECONDS} s",
            do="write it without a repeat inside a repeat",
        )

    before = signal.signal(signal.SIGALRM, too_slow)
    signal.setitimer(signal.ITIMER_REAL, PATTERN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _advice(pattern: str, targets: Sequence[Target]) -> str:
    """The nearest name to a pattern that met none, and how to see all of them."""
    names = {part for target in targets for part in (target.name, *target.name.split("."))}
    near = get_close_matches(pattern.removeprefix("re:").strip("*"), names, 1)
    see = "see the names with: compressor inspect MODEL --tensors"
    return f"did you mean `{near[0]}`? {see}" if near else see


def notes_on(checkpoint: Checkpoint) -> list[str]:
    """What a user should know of this folder; a config that its tensors contradict is an error."""
    notes = list(checkpoint.notes)
    for component in checkpoint.components:
        notes += consistency.check(component)
        if not is_known(component):
            where = f" of `{component.prefix.rstrip('/')}`" if component.prefix else ""
            notes.append(f"the architecture{where} is not in the test matrix: generic rules decide")
    return notes


def checked(pattern: str) -> str:
    """The pattern, if it can be one; `ValueError` says what is wrong with it."""
    if pattern.startswith("re:"):
        try:
            re.compile(pattern[3:])
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"expected a regular expression after re:, {error}") from None
    return pattern


def is_wild(pattern: str) -> bool:
    """Whether a pattern can mean more than one tensor."""
    return pattern.startswith("re:") or any(character in pattern for character in "*?[")


def matches(pattern: str, name: str) -> bool:
    """Whether a glob, or a regular expression after `re:`, means this tensor or its module."""
    module = name.rpartition(".")[0]
    if pattern.startswith("re:"):
        expression = re.compile(pattern[3:])
        return bool(expression.fullmatch(name) or expression.fullmatch(module))
    return fnmatchcase(name, pattern) or fnmatchcase(module, pattern)
