"""Figures of alternating pairs: medians, their spread, and how one rival compares with the other pair by pair."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.controlplane.arena import Round

Pairs = Sequence[tuple[Round, Round]]


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, least and greatest."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f} - {self.greatest:.2f})"


def ratios(pairs: Pairs) -> Spread:
    """Pods per second of the second rival by those of the first, for each pair."""
    return Spread.of([second.pods_per_second / first.pods_per_second for first, second in pairs])


def document(pairs: Pairs) -> dict[str, Any]:
    """The summary and every round."""
    ratio = ratios(pairs)
    return {
        "ratio": {"median": ratio.median, "least": ratio.least, "greatest": ratio.greatest},
        "pods_per_second": {
            rounds[0].rival: statistics.median(one.pods_per_second for one in rounds)
            for rounds in _by_rival(pairs)
        },
        "violations": [text for pair in pairs for one in pair for text in one.violations],
        "pairs": [[one.document() for one in pair] for pair in pairs],
    }


def print_summary(title: str, pairs: Pairs, out: Console) -> None:
    """One column for each rival."""
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("median (least - greatest)")
    columns = _by_rival(pairs)
    for rounds in columns:
        table.add_column(rounds[0].rival, justify="right")
    rows: tuple[tuple[str, Any], ...] = (
        ("pods/s, first to last bind", lambda one: one.pods_per_second),
        ("seconds, first to last bind", lambda one: one.seconds),
        ("seconds, start to first bind", lambda one: one.first_bind_seconds),
        ("scheduler CPU seconds, start to first bind", lambda one: one.start_cpu_seconds),
        ("scheduler CPU ms/pod, first to last bind", lambda one: 1000 * one.scheduler_cpu_seconds / one.pods),
        ("API server CPU ms/pod", lambda one: 1000 * one.apiserver_cpu_seconds / one.pods),
        ("scheduler memory MiB", lambda one: one.scheduler_mib),
        ("refused binds", lambda one: float(one.refused_binds)),
    )
    for name, figure in rows:
        table.add_row(name, *(str(Spread.of([figure(one) for one in rounds])) for rounds in columns))
    for what in sorted({what for rounds in columns for one in rounds for what in one.writes_per_pod}):
        cells = [statistics.median(one.writes_per_pod.get(what, 0.0) for one in rounds) for rounds in columns]
        if max(cells) >= 0.005:
            table.add_row(f"{what} a pod", *(f"{cell:.2f}" for cell in cells))
    out.print(table)
    out.print(f"{columns[1][0].rival} / {columns[0][0].rival}: {ratios(pairs)} over {len(pairs)} pairs")
    for text in (text for pair in pairs for one in pair for text in one.violations):
        out.print(f"violation: {text}", style="red")


def _by_rival(pairs: Pairs) -> tuple[list[Round], list[Round]]:
    return [first for first, _ in pairs], [second for _, second in pairs]
