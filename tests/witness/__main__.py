"""``python -m tests.witness``: every decision of another commit beside those of this tree. Exit code 1 at a difference."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from difflib import unified_diff
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from tests.witness.corpus import ROOT, write_corpus

_SHOWN_LINES = 30


def main() -> int:
    parser = argparse.ArgumentParser(prog="witness", description=__doc__)
    parser.add_argument("--base", default="HEAD", help="the commit to compare with (HEAD)")
    parser.add_argument("--after", default="", help="the commit to compare, instead of the files at hand")
    parser.add_argument(
        "--decisions", action="store_true", help="compare what is done and for whom nothing is, not the words"
    )
    parser.add_argument("--seed", type=int, default=0, help="the first seed of the random worlds")
    parser.add_argument("--worlds", type=int, default=400, help="how many random worlds")
    parser.add_argument("--show", type=int, default=5, help="how many differences to print")
    given = parser.parse_args()
    place = os.environ.get("KAI_SCHED_SHARED", "")
    with (
        tempfile.TemporaryDirectory(prefix="witness-") as scratch,
        a_tree(given.base) as base,
        a_tree(given.after) if given.after else nullcontext(ROOT) as tree,
    ):
        seeds = range(given.seed, given.seed + given.worlds)
        files = write_corpus(Path(scratch), seeds, Path(place) if place else None)
        with ThreadPoolExecutor() as both:
            before, after = both.map(answers, (base, tree), (files, files))
    figures = _figures(after)
    if given.decisions:
        before, after = ([decisions_of(line) for line in lines] for lines in (before, after))
    differences = [
        (path, old, new) for path, old, new in zip(files, before, after, strict=True) if old != new
    ]
    for path, old, new in differences[: given.show]:
        print(f"--- {path.name}")
        print("\n".join(_difference(old, new)))
    print(f"{len(files)} snapshots, {figures}: {len(differences)} differ from {given.base}")
    return 1 if differences else 0


@contextmanager
def a_tree(revision: str) -> Iterator[Path]:
    """The files of a commit in a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="witness-base-") as folder:
        archive = subprocess.run(
            ["git", "-C", str(ROOT), "archive", revision, "kai_sched"], check=True, capture_output=True
        )
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        yield Path(folder)


def answers(tree: Path, files: Sequence[Path]) -> list[str]:
    """The line of each file, planned by the code of a tree."""
    finished = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "plans.py")],
        input="".join(f"{path}\n" for path in files),
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(tree)},
        text=True,
    )
    return finished.stdout.splitlines()


def decisions_of(line: str) -> str:
    """The greedy and the last plan of an answer, without the words and figures that come with them."""
    answer = orjson.loads(line)
    plans = answer.get("plans", [])
    answer["plans"] = [_decisions(plan) for plan in (plans[:1] + plans[-1:])]
    answer["error"] = "error" in answer
    return orjson.dumps(answer, option=orjson.OPT_SORT_KEYS).decode()


def _decisions(plan: dict[str, Any]) -> dict[str, Any]:
    told = {one["podGroup"]: one["verdict"] for one in plan["verdicts"]}
    return {**{name: plan[name] for name in ("binds", "pipelined", "violations")}, "verdicts": told}


def _difference(old: str, new: str) -> Iterator[str]:
    pretty = [
        orjson.dumps(orjson.loads(line), option=orjson.OPT_INDENT_2).decode().splitlines()
        for line in (old, new)
    ]
    return islice(unified_diff(*pretty, "before", "after", n=2, lineterm=""), _SHOWN_LINES)


def _figures(lines: Sequence[str]) -> str:
    """What the corpus is made of, so that nobody takes a poor one for a proof."""
    found: Counter[str] = Counter()
    for line in lines:
        answer = orjson.loads(line)
        found["not readable"] += "error" in answer
        for plan in answer.get("plans", ()):
            found["plans"] += 1
            found["binds"] += len(plan["binds"])
            found["pipelined"] += len(plan["pipelined"])
            found["violations"] += len(plan["violations"])
        for verdict in (answer.get("plans") or [{"verdicts": ()}])[-1]["verdicts"]:
            found[verdict["blocker"] or verdict["verdict"]] += 1
    return ", ".join(f"{count} {name}" for name, count in found.items() if count)


if __name__ == "__main__":
    sys.exit(main())
