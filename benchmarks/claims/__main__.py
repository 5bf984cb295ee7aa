"""``python -m benchmarks.claims``: both halves with their defaults, ``decide`` then ``live``; each takes options by its own name."""

from __future__ import annotations

import argparse
import sys

from benchmarks.claims import decide, live

if __name__ == "__main__":
    argparse.ArgumentParser(
        prog="python -m benchmarks.claims",
        description="Both halves, one after the other, with their defaults.",
        epilog="Options go to a half: python -m benchmarks.claims.decide, python -m benchmarks.claims.live.",
    ).parse_args()
    halves = [decide.main(), live.main()]
    sys.exit(max(halves))
