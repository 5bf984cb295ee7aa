"""StatefulSets: one group that starts with its first pod, because by default each pod waits for the one before."""

from __future__ import annotations

from typing import Final

from kai_sched.api.kinds import STATEFUL_SET, Kind
from kai_sched.grouping.decisions import Together
from kai_sched.grouping.owners import Owner

KINDS: Final[tuple[Kind, ...]] = (STATEFUL_SET,)


def decide(chain: tuple[Owner, ...]) -> Together:
    """The pods of one StatefulSet."""
    return Together(chain[-1])
