"""``make fuzz``: random cases answered by ours and by the reference. Exit code 1 at any difference.

With ``--node-rules`` the reference is kube-scheduler on a control plane of its own, and the cases are clusters.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz.differential import compare
from tests.fuzz.expressions import compare_expressions
from tests.fuzz.node_rules.compare import compare as compare_nodes
from tests.fuzz.node_rules.judge import a_judge
from tests.fuzz.reference import a_reference, build_reference


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--cases", type=int, default=3000, help="how many seeds from there on")
    parser.add_argument("--build-only", action="store_true", help="only build the reference program")
    parser.add_argument(
        "--node-rules", action="store_true", help="ask kube-scheduler which nodes may take a pod"
    )
    parser.add_argument(
        "--pods", type=int, default=12, help="with --node-rules: pods to ask about in each case"
    )
    given = parser.parse_args()
    if given.build_only:
        print(build_reference())
        return 0
    seeds = range(given.seed, given.seed + given.cases)
    started = time.perf_counter()
    if given.node_rules:
        return ask_about_nodes(seeds, given.pods)
    with a_reference() as reference:
        kinds, differences = compare(seeds, reference)
        cel_kinds, cel_differences = compare_expressions(seeds, reference)
    for difference in [*differences, *cel_differences][:20]:
        print(difference)
    shown = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    print(f"allocator: {given.cases} cases from seed {given.seed} ({shown}): {len(differences)} differ")
    shown = ", ".join(f"{count} {kind}" for kind, count in cel_kinds.most_common())
    print(f"CEL: {given.cases} expressions from seed {given.seed} ({shown}): {len(cel_differences)} differ")
    print(f"{time.perf_counter() - started:.1f} s")
    return 1 if differences or cel_differences else 0


def ask_about_nodes(seeds: range, pods: int) -> int:
    with a_judge() as judge:
        started = time.perf_counter()
        tally = compare_nodes(seeds, pods, judge)
        seconds = time.perf_counter() - started
    for difference in tally.differences[:20]:
        print(difference)
    for why, count in tally.skipped.most_common():
        print(f"{count} pods not compared: {why}")
    for reason, count in tally.reasons.most_common():
        print(f"{count} pods told: {reason}")
    print(
        f"node rules: {tally.pairs} pairs of {tally.pods} pods and their nodes in {len(seeds)} cases from seed "
        f"{seeds.start} ({tally.feasible} feasible), {tally.steps} steps of plans: {len(tally.differences)} pods differ, {seconds:.1f} s"
    )
    return 1 if tally.differences else 0


if __name__ == "__main__":
    sys.exit(main())
