"""Whatever somebody sends, a bystander that has room is bound by the first plan, and nobody is told a novel.

Without a control plane, a clock or a deadline: what deciding costs is counted in units of work. Better plans and advice
come after the first plan, for as long as the deadline of a cycle lets them; here they are awaited, too, save in the
worlds of ``LONG``.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kai_sched.api.objects import ObjectSet
from kai_sched.api.snapshot import snapshot_of
from kai_sched.grouping import group_objects
from kai_sched.model.policy import Policy
from kai_sched.model.snapshot import ClusterSnapshot
from kai_sched.model.texts import MESSAGE
from kai_sched.planning.checks.plan_checker import PlanChecker
from kai_sched.planning.cycle import improving_plans
from tests.hostile.documents import GOOD, Document, a_bystander, the_cluster
from tests.hostile.world import World
from tests.hostile.worlds import WORLDS

LONG: dict[str, str] = {
    "hundreds-of-host-ports": "looking for better plans scans all held ports once a pod and node, which is not charged",
    "alternatives-that-never-fit": "each trial of advice counts the GPUs of every alternative anew, which is not charged",
}
"""Worlds whose advice takes many seconds, and why. The first plan is there in time."""
NOW = 1_800_000_000.0
PURE = [world for world in WORLDS if not world.live_only]


def stored(document: Document) -> Document:
    """As the API server hands it out."""
    metadata = document["metadata"]
    uid = f"uid-{document['kind']}-{metadata.get('namespace', '')}-{metadata['name']}"
    made = {**document, "metadata": {**metadata, "uid": uid, "creationTimestamp": "2026-01-01T00:00:00Z"}}
    if document["kind"] == "Pod":
        made["status"] = {"phase": "Running" if "nodeName" in document["spec"] else "Pending"}
    return made


def snapshot_with(world: World) -> ClusterSnapshot:
    return snapshot_of_all(world.make("evil", world.size))


def name_of(document: Document) -> tuple[str, str, str]:
    metadata = document["metadata"]
    return document["kind"], metadata.get("namespace", ""), metadata["name"]


def snapshot_of_all(hostile: Iterable[Document]) -> ClusterSnapshot:
    documents = [*the_cluster(), *hostile, a_bystander()]
    objects = ObjectSet([stored(document) for document in documents])
    return snapshot_of(objects, now=NOW, policy=Policy(), group=group_objects)


@pytest.mark.parametrize("world", PURE, ids=str)
def test_a_bystander_is_bound_beside(world: World) -> None:
    snapshot = snapshot_with(world)

    plans = improving_plans(snapshot, Policy())
    first = next(plans)
    told = [first] if world.name in LONG else [first, *plans]

    assert f"{GOOD}/bystander" in {str(bind.pod) for bind in first.binds}
    assert first.contained == ()
    assert PlanChecker()(snapshot, Policy(), first) == ()
    assert [verdict for plan in told for verdict in plan.verdicts if len(verdict.message) > MESSAGE] == []


@given(
    st.lists(st.sampled_from(PURE), min_size=2, max_size=4, unique_by=lambda world: world.name), st.randoms()
)
@settings(max_examples=settings.default.max_examples // 10)
def test_a_bystander_is_bound_beside_several_at_once_each_in_a_namespace_of_its_own(
    worlds: list[World], random: Random
) -> None:
    made = [
        document
        for number, world in enumerate(worlds)
        for document in world.make(f"evil-{number}", max(1, world.size // 4))
    ]
    once = list({name_of(document): document for document in made}.values())
    random.shuffle(once)

    first = next(improving_plans(snapshot_of_all(once), Policy()))

    assert f"{GOOD}/bystander" in {str(bind.pod) for bind in first.binds}
    assert first.contained == ()


def test_there_are_many_worlds_each_with_a_name_of_its_own() -> None:
    assert len({world.name for world in WORLDS}) == len(WORLDS) >= 40
