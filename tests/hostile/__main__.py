"""``make hostile``: every hostile world on a real control plane, and how long a bystander waits. Exit code 1 if too long.

Names of worlds as arguments run only these. ``KAI_SCHED_HOSTILE_SECONDS`` is the most that a bystander may wait: 2.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kai_sched.localcluster import LocalCluster
from tests.hostile.stage import staged
from tests.hostile.worlds import WORLDS

CRDS = Path(__file__).parents[2] / "crds"
WORDS = 90


def main(names: list[str]) -> int:
    most = float(os.environ.get("KAI_SCHED_HOSTILE_SECONDS", "2"))
    chosen = [world for world in WORLDS if not names or world.name in names]
    table = Table("case", "objects", "refused", "created->bound", "what the hostile objects are told")
    late: list[str] = []
    console = Console(width=None if sys.stdout.isatty() else 200)
    with LocalCluster(crds=CRDS) as cluster, staged(cluster) as stage:
        for world in chosen:
            found = stage.measure(world)
            if found.seconds >= most:
                late.append(world.name)
            told = found.told[0] if found.told else "-"
            table.add_row(
                world.name,
                str(found.created),
                str(found.refused),
                f"{found.seconds:.2f} s",
                Text(told if len(told) <= WORDS else f"{told[:WORDS]}..."),
            )
            print(f"{world.name}: {found.seconds:.2f} s", file=sys.stderr, flush=True)
    console.print(table)
    print(
        f"{len(chosen)} worlds, {len(late)} with a bystander that waits {most:g} s or more {' '.join(late)}"
    )
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
