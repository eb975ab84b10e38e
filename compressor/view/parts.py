"""What a report is drawn from: sentences and tables, and numbers with their unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, final

from rich.markup import escape

from compressor.errors import printable
from compressor.report import Report, Row

BYTES: Final = frozenset({"bytes", "memory", "disk_free", "peak_memory", "size"})
SHARES: Final = frozenset(
    {
        "coverage",
        "coverage_of_bytes",
        "sparsity",
        "sparsity_of_all_matrices",
        "share_of_parameters",
        "changed_share",
    }
)


@final
@dataclass(frozen=True)
class Part:
    """A table: its title, which columns of its rows are shown, and the rows."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Row]


Described: TypeAlias = Iterator[str | Part]


def amount(count: float) -> str:
    """`1.2 GB`, in powers of ten."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def percent(share: Any) -> str:
    """`49.98 %`."""
    return "–" if share is None else f"{100 * float(share):.2f} %"


def text(column: str, value: Any) -> str:
    """A cell as text: bytes and shares with their unit, thousands apart, nothing as a dash."""
    if value is None:
        return "–"
    if column in BYTES and isinstance(value, int | float):
        return amount(value)
    if column in SHARES and isinstance(value, int | float):
        return percent(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return "×".join(map(str, value))
    return printable(value, 300)


def named(report: Report) -> str:
    """The model's name, as markup."""
    return f"[bold]{escape(printable(report.source['name']))}[/bold]"
