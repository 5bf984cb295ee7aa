"""Plans of snapshot files, one JSON line each. Run as a script with the tree that is to plan on PYTHONPATH.

It asks only for what every tree has, and its answers hold every plan of a cycle: greedy alone, then each better one.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from kai_sched.api.plan_document import plan_document
from kai_sched.cli.worlds import WorldOptions, load_world
from kai_sched.planning.cycle import improving_plans, plan_cycle

try:
    from kai_sched.planning.checks.plan_checker import PlanChecker
except ModuleNotFoundError:  # Where it was before placement had wings.
    from kai_sched.planning.checks import PlanChecker  # type: ignore[attr-defined,no-redef]

NOW = "2026-11-21T00:00:00Z"


def plans_of(path: Path) -> list[dict[str, Any]]:
    """Every plan that one cycle gives for a file."""
    world = load_world([path], WorldOptions(now=NOW))
    greedy = replace(world.policy, use_solver=False)
    plans = [plan_cycle(world.snapshot, greedy), *improving_plans(world.snapshot, world.policy)]
    check = PlanChecker()
    return [
        {**plan_document(plan), "violations": list(map(str, check(world.snapshot, world.policy, plan)))}
        for plan in plans
    ]


def main() -> None:
    for line in sys.stdin:
        path = Path(line.rstrip("\n"))
        try:
            answer: dict[str, Any] = {"plans": plans_of(path)}
        except Exception as error:  # noqa: BLE001 - a tree that fails is to be compared, too.
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps({"file": str(path), **answer}, sort_keys=True), flush=True)


if __name__ == "__main__":
    main()
