"""Prints how we stand against the reference's tables: ``make conformance``. Exit code 1 where a figure is not as promised."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from kai_sched.devices.allocator import Options
from tests.conformance.allocator_table import (
    REFUSED_BY_RELEASE,
    is_as_expected,
    is_as_tabled,
    load_cases,
    run_case,
)
from tests.conformance.cel_table import (
    EXPLAINED,
    is_cel_as_expected,
    is_for_stored_expressions,
    load_cel_cases,
    run_cel_case,
)

SHARED = Path(os.environ.get("KAI_SCHED_SHARED", "../shared"))


def main() -> int:
    if not (SHARED / "cases/dra").is_dir():
        print(f"no conformance cases at {SHARED.resolve()} (set KAI_SCHED_SHARED)")
        return 1
    table = Table(title="Conformance with the Kubernetes reference", title_justify="left")
    for heading in ("CASES", "TOTAL", "AS THE TABLE", "AS RELEASE v0.37.1", "OTHERWISE"):
        table.add_column(heading, justify="left" if heading == "CASES" else "right")
    notes: list[str] = []
    failures = [
        *_allocator_row(table, "allocator, bug_compatible on", Options(bug_compatible=True)),
        *_allocator_row(table, "allocator, bug_compatible off", Options()),
        *_cel_row(table, notes),
    ]
    console = Console(width=110)
    console.print(table)
    console.print(
        f"{REFUSED_BY_RELEASE}: the table allocates, the release refuses (mode All filters by static capacity only);"
        " ours is the release's",
        *notes,
        *(f"NOT AS PROMISED: {name}" for name in failures),
        sep="\n",
        highlight=False,
        markup=False,
    )
    return 1 if failures else 0


def _allocator_row(table: Table, title: str, options: Options) -> list[str]:
    cases = load_cases(SHARED)
    verdicts = {name: run_case(case, options) for name, case in cases.items()}
    tabled = sum(is_as_tabled(cases[name], verdict) for name, verdict in verdicts.items())
    bad = [name for name, verdict in verdicts.items() if not is_as_expected(name, cases[name], verdict)]
    released = len(cases) - len(bad) - tabled
    table.add_row(title, *map(str, (len(cases), tabled, released, len(bad))))
    return [f"{title}: {name}" for name in bad]


def _cel_row(table: Table, notes: list[str]) -> list[str]:
    cases = load_cel_cases(SHARED)
    good = {name for name, case in cases.items() if is_cel_as_expected(case, run_cel_case(case))}
    stored = {name for name, case in cases.items() if is_for_stored_expressions(case)}
    table.add_row(
        "CEL, stored expressions", str(len(stored)), str(len(stored & good)), "-", str(len(stored - good))
    )
    table.add_row(
        "CEL, the API server's own checks",
        str(len(cases) - len(stored)),
        str(len(good - stored)),
        "-",
        str(len(cases) - len(stored | good)),
    )
    notes += [f"{name}: {text}" for name, text in EXPLAINED.items()]
    return [f"CEL: {name}" for name in sorted(stored - good)]


if __name__ == "__main__":
    sys.exit(main())
