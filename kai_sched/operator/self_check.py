"""SelfCheck: now and then the whole mirror is judged by the invariants, whoever broke them.

Pods and claims come by watches of their own, so that the mirror may show a pod's binding before its claim's
allocation: what is wrong is believed when it is still wrong some seconds later.
"""

from __future__ import annotations

from typing import Final

import structlog

from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.placement.checker import Violation
from kai_sched.placement.checker.state import check_state

_log = structlog.get_logger(__name__)

DOUBT_SECONDS: Final = 5.0
"""After which a finding is looked at again."""
_SHOWN: Final = 20


class SelfCheck:
    """What is wrong in the cluster as far as it was confirmed; said in the log when it begins and when it ends."""

    def __init__(self, interval_seconds: float) -> None:
        self._interval_seconds = interval_seconds
        self._due_at = 0.0
        self._suspected: frozenset[Violation] = frozenset()
        self.confirmed: tuple[Violation, ...] = ()

    def look(self, snapshot: ClusterSnapshot, policy: Policy, now: float) -> None:
        """Judge a snapshot if it is time to. ``now``: seconds of a clock that never goes back."""
        if now < self._due_at:
            return
        found = check_state(snapshot, policy)
        before = set(self.confirmed)
        self.confirmed = tuple(violation for violation in found if violation in self._suspected)
        has_news = any(violation not in self._suspected for violation in found)
        self._suspected = frozenset(found)
        self._due_at = now + (DOUBT_SECONDS if has_news else self._interval_seconds)
        for violation in [one for one in self.confirmed if one not in before][:_SHOWN]:
            _log.error("an invariant is broken", **_fields(violation))
        for violation in sorted(before.difference(self.confirmed), key=str)[:_SHOWN]:
            _log.info("an invariant holds again", **_fields(violation))


def _fields(violation: Violation) -> dict[str, str]:
    return {"kind": violation.kind.value, "subject": violation.subject, "reason": violation.message}
