"""Completing: a gang of which a part is bound may only be completed; this says whether there is anything to complete."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from kai_sched.model.ids import NodeName, PodKey
from kai_sched.model.workloads import Pod, PodGroup
from kai_sched.placement.gangs import build_gang

_SOMEWHERE = NodeName("")


def is_incomplete(group: PodGroup, members: Sequence[Pod], just_bound: Collection[PodKey]) -> bool:
    """Whether some pods of the gang have their nodes and its minimum still lacks others.

    ``members``: all its pods as last seen; ``just_bound``: those among them that have a node since.
    """
    gang = build_gang(group, range(len(members)), members, lambda _: True)
    bound = {index: _SOMEWHERE for index, pod in enumerate(members) if pod.key in just_bound}
    gang = gang.after(bound)
    return gang.root.has_active and bool(gang.core_pods())
