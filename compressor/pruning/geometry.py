"""How the elements of a stored weight lie: rows, what a row is, how far apart its inputs are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from compressor.sparsity import NM, Sparsity, Unstructured, VectorNM


@final
@dataclass(frozen=True)
class Geometry:
    """A stack of matrices, each of `matrix` rows of `row` elements.

    Ordinary storage is `(…, out, in, *kernel)`: a row is one output. Transposed storage is
    `(…, in, out, *kernel)`: a row is one input. `inner` is the kernel's size, 1 for a matrix.
    """

    is_transposed: bool
    inner: int
    row: int
    matrix: int
    count: int

    @property
    def inputs(self) -> int:
        """Input channels: what N:M groups are made of."""
        return self.matrix if self.is_transposed else self.row // self.inner

    @property
    def outputs(self) -> int:
        """Outputs of one matrix."""
        return self.row // self.inner if self.is_transposed else self.matrix

    def obstacle(self, sparsity: Sparsity) -> str:
        """Why the pattern does not fit this weight; empty where it does."""
        if isinstance(sparsity, Unstructured):
            return ""
        if isinstance(sparsity, VectorNM) and self.inner > 1:
            return "a vector pattern needs a matrix, this is a convolution"
        if self.inputs % sparsity.m:
            return f"{self.inputs} inputs, not divisible by {sparsity.m}"
        return ""

    def zeros(self, sparsity: Sparsity, scope: str) -> int:
        """How many zeros the pattern asks of this weight; a global scope asks of all together."""
        if isinstance(sparsity, NM | VectorNM):
            return int(sparsity.fraction * self.count)
        if scope == "row" and self.count:
            per_output = self.inputs * self.inner
            return sparsity.zeros(per_output) * (self.count // per_output)
        return sparsity.zeros(self.count)
