"""``make fuzz``: random cases answered by ours and by the reference. Exit code 1 at any difference."""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz.differential import compare
from tests.fuzz.expressions import compare_expressions
from tests.fuzz.reference import a_reference, build_reference


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--cases", type=int, default=3000, help="how many seeds from there on")
    parser.add_argument("--build-only", action="store_true", help="only build the reference program")
    given = parser.parse_args()
    if given.build_only:
        print(build_reference())
        return 0
    seeds = range(given.seed, given.seed + given.cases)
    started = time.perf_counter()
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


if __name__ == "__main__":
    sys.exit(main())
