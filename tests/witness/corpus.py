"""The corpus: random worlds by seed, the project's examples, and the shared cases where they are at hand."""

from __future__ import annotations

import json
from pathlib import Path

from tests.witness.worlds import a_world

ROOT = Path(__file__).parents[2]
_SLOW = ("60-", "62-", "64-", "131-", "nine-requests")
"""Cases that show how long a search may take: they say nothing more about decisions than others, and cost minutes."""


def write_corpus(folder: Path, seeds: range, shared: Path | None) -> list[Path]:
    """The files of the corpus, random worlds written into ``folder``."""
    files: list[Path] = []
    for seed in seeds:
        path = folder / f"world-{seed:05}.json"
        path.write_text(json.dumps(a_world(seed), sort_keys=True))
        files.append(path)
    files += sorted((ROOT / "examples" / "snapshots").glob("*.yaml"))
    if shared is not None:
        cases = shared / "cases"
        for pattern in ("faults/*/*.yaml", "hostile/*.json"):
            files += [path for path in sorted(cases.glob(pattern)) if not path.name.startswith(_SLOW)]
    return files
