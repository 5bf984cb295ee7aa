"""Hopes: what those who wait were last told about never, not now and not their turn.

A decision comes first without that, and it is found out while nobody waits for the next decision. Until it is found out
anew, what was found for the same reason stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from kai_sched.model.ids import PodGroupKey
from kai_sched.model.plan import Plan, Verdict
from kai_sched.operator.sentences import is_waiting

STANDS_SECONDS: Final = 60.0
"""After so long the bare reason is truer."""


@dataclass(frozen=True, slots=True)
class _Known:
    bare: Verdict
    verdict: Verdict
    at: float


@dataclass(slots=True)
class Hopes:
    """By pod group, of those that wait."""

    _known: dict[PodGroupKey, _Known] = field(default_factory=dict)

    def spoken(self, plan: Plan, now: float) -> Plan:
        """The plan with what is known of those for whom it says the same as before."""
        bare = {verdict.pod_group: verdict for verdict in plan.verdicts if is_waiting(verdict)}
        self._known = {
            key: known
            for key, known in self._known.items()
            if key in bare and _reason(known.bare) == _reason(bare[key]) and now - known.at < STANDS_SECONDS
        }
        return _with(plan, {key: known.verdict for key, known in self._known.items()})

    def note(self, plan: Plan, verdicts: tuple[Verdict, ...], now: float) -> None:
        """What was found out about a plan."""
        bare = {verdict.pod_group: verdict for verdict in plan.verdicts if is_waiting(verdict)}
        for verdict in verdicts:
            if verdict.outlook is not None and verdict.pod_group in bare and not self._is_more(verdict):
                self._known[verdict.pod_group] = _Known(bare[verdict.pod_group], verdict, now)

    def _is_more(self, verdict: Verdict) -> bool:
        """Whether more is known already: advice is not tried in every cycle."""
        known = self._known.get(verdict.pod_group)
        if known is None or known.verdict.outlook is None or verdict.outlook is None:
            return False
        has_less = bool(known.verdict.outlook.advice) and not verdict.outlook.advice
        return has_less and known.verdict.outlook.prospect == verdict.outlook.prospect


def _with(plan: Plan, verdicts: Mapping[PodGroupKey, Verdict]) -> Plan:
    if not verdicts:
        return plan
    return replace(plan, verdicts=tuple(verdicts.get(one.pod_group, one) for one in plan.verdicts))


def _reason(verdict: Verdict) -> object:
    return verdict.outcome, verdict.blocker
