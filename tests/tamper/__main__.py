"""``make tamper``: every promise, how it is broken, and what the judge says. Exit code 1 if it misses one."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from tests.tamper.table import BUGS, ROWS


def main() -> int:
    table = Table("promise", "tampering", "caught as", "what the judge says", show_lines=False)
    missed = 0
    for row in (*ROWS, *BUGS):
        found = row.complaints()
        missed += not found
        sentence = f"{found[0].subject}: {found[0].message}" if found else "NOTHING"
        table.add_row(row.promise, row.tampering, str(row.kind) if found else "-", sentence)
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    print(f"{len(ROWS)} plans tampered with and {len(BUGS)} bugs planted, {missed} missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
