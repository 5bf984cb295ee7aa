"""Early: what would help gangs that were refused before placement saw them, as far as an action can say it."""

from __future__ import annotations

from kai_sched.model.outlook import Action, ActionKind, Bound, Fact, Outlook, Prospect
from kai_sched.model.plan import Blocker, Verdict
from kai_sched.model.workloads import ACTIVE, PodState
from kai_sched.planning.cycle_state import CycleState

_AS_IT_STANDS = frozenset(
    {
        Blocker.INVALID,
        Blocker.QUEUE_NOT_FOUND,
        Blocker.UNSUPPORTED,
        Blocker.UNKNOWN_WORKLOAD_KIND,
        Blocker.SHARING_NOT_ENABLED,
    }
)
"""Reasons that waiting does not end."""
_MOST_CREATED = 1_000
"""Pods that are made on trial. A user may ask for two thousand million; that is told, and not tried."""


def early_outlook(verdict: Verdict) -> Outlook | None:
    """What a gang may hope for that is not considered; None where it is only not complete yet."""
    if verdict.blocker not in _AS_IT_STANDS:
        return None
    return Outlook(prospect=Prospect.NEVER, bound=Bound(fact=Fact.OBJECT, subject=verdict.pod_group))


def early_remedy(state: CycleState, verdict: Verdict) -> tuple[Action, ...]:
    """What might let it be considered, and placed."""
    match verdict.blocker:
        case Blocker.QUEUE_NOT_FOUND if (
            verdict.queue
            and verdict.queue not in state.tree.queues
            and verdict.queue not in dict(state.snapshot.queues_elsewhere)
        ):
            return (Action(kind=ActionKind.CREATE_QUEUE, queue=verdict.queue),)
        case Blocker.GANG_NOT_READY:
            return _completing(state, verdict)
        case _:
            return ()


def _completing(state: CycleState, verdict: Verdict) -> tuple[Action, ...]:
    """Gates removed, and the pods made that a gang without subgroups lacks."""
    group = next((one for one in state.snapshot.pod_groups if one.key == verdict.pod_group), None)
    if group is None or group.sub_groups:
        return ()
    members = [pod for pod in state.snapshot.pods if pod.group == group.key]
    gated = sum(pod.state is PodState.GATED for pod in members)
    there = sum(pod.state in ACTIVE or pod.state is PodState.PENDING for pod in members) + gated
    done = sum(pod.state is PodState.SUCCEEDED for pod in members)
    missing = group.min_member - done - there
    actions: list[Action] = []
    if gated:
        actions.append(Action(kind=ActionKind.UNGATE))
    if 0 < missing <= _MOST_CREATED and there:
        actions.append(Action(kind=ActionKind.CREATE_PODS, amount=missing))
    return tuple(actions)
