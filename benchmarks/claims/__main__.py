"""``python -m benchmarks.claims``: both halves with their defaults, ``decide`` then ``live``; each takes options by its own name."""

from __future__ import annotations

import sys

from benchmarks.claims import decide, live

if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(
            "options go to a half: python -m benchmarks.claims.decide | python -m benchmarks.claims.live"
        )
    halves = [decide.main(), live.main()]
    sys.exit(max(halves))
