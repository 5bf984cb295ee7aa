"""The mirror that followed a history against the careful reading of what is there at its end."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from kai_sched.api.kinds import kind_of
from kai_sched.api.objects import ObjectSet
from kai_sched.api.snapshot import snapshot_of
from kai_sched.cluster.mirror import Mirror
from kai_sched.grouping import group_objects
from kai_sched.grouping.grouper import WorkloadGrouper
from kai_sched.model.policy import Policy

Raw = dict[str, Any]
NOW = 1_764_036_000.0
POLICY = Policy()
Forms = Sequence[Sequence[Raw]]
"""By object, what it may look like."""
History = list[tuple[int, int | None]]
"""(which object, its next form or None: it is deleted)"""


def histories(forms: Forms) -> st.SearchStrategy[History]:
    """What may happen to these objects, one after the other."""
    changes = st.integers(0, len(forms) - 1).flatmap(
        lambda which: st.tuples(st.just(which), st.sampled_from([None, *range(len(forms[which]))]))
    )
    return st.lists(changes, min_size=1, max_size=40)


def assert_agreement_after(history: History, forms: Forms) -> None:
    """A mirror that saw it all ends as the reading of what is left."""
    mirror = Mirror(grouper=WorkloadGrouper(POLICY))
    present: dict[int, Raw] = {}
    for version, (which, form) in enumerate(history, start=1):
        if form is None:
            gone = present.pop(which, None)
            if gone is not None:
                mirror.event(kind_of(gone), "DELETED", deepcopy(gone))
            continue
        raw = deepcopy(forms[which][form])
        raw["metadata"]["resourceVersion"] = str(version)
        present[which] = raw
        mirror.event(kind_of(raw), "MODIFIED", deepcopy(raw))
        if version % 3 == 0:
            mirror.snapshot(NOW, POLICY)

    assert_same(mirror, list(present.values()))


def assert_same(mirror: Mirror, objects: Sequence[Raw]) -> None:
    """The mirror's snapshot is that of these objects, whatever they were before."""
    seen = mirror.snapshot(NOW, POLICY)
    told = snapshot_of(ObjectSet(deepcopy(objects)), now=NOW, policy=POLICY, group=group_objects)
    for part in ("pods", "pod_groups", "queues", "queues_elsewhere", "claims", "unreadable"):
        assert list(getattr(seen, part)) == list(getattr(told, part)), part
    assert seen.fleet == replace(told.fleet, version=seen.fleet.version)
