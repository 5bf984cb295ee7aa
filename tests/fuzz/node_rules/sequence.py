"""A whole plan beside kube-scheduler: its pods are bound one after the other, each where it finds it may go by then."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from kai_sched.api.keys import POD_GROUP
from kai_sched.api.objects import ObjectSet
from kai_sched.api.snapshot import snapshot_of
from kai_sched.model.policy import Policy
from kai_sched.planning.cycle import plan_cycle
from tests.documents import a_pod_group_document, a_queue_document
from tests.fuzz.node_rules.judge import Answer, Judge, key_of
from tests.fuzz.node_rules.stage import Case, read_back

Document = dict[str, Any]
QUEUE = Policy().default_queue
_SETTLE_SECONDS = (0.0, 0.5, 2.0)


@dataclass(frozen=True)
class WrongStep:
    """A pod that kube-scheduler would not put where the plan does, with what the plan bound before it."""

    seed: int
    pod: str
    node: str
    before: tuple[tuple[str, str], ...]
    theirs: Answer
    document: Document = field(compare=False)

    def __str__(self) -> str:
        return (
            f"seed {self.seed}, {self.pod} on {self.node} after {self.before}: only {sorted(self.theirs.nodes)}"
            f"\n  theirs: {self.theirs.message}\n  {self.document['spec']}"
        )


def gangs_of(objects: list[Document], min_member: int | None = None) -> list[Document]:
    """The pod groups that pods name, by default of all their pods or none."""
    members: Counter[tuple[str, str]] = Counter()
    for raw in objects:
        metadata = raw["metadata"]
        if raw["kind"] == "Pod" and POD_GROUP in (metadata.get("annotations") or {}):
            members[metadata["namespace"], metadata["annotations"][POD_GROUP]] += 1
    return [
        a_pod_group_document(name, namespace=namespace, minMember=min_member or count, queue=QUEUE)
        for (namespace, name), count in members.items()
    ]


def follow_plan(case: Case, judge: Judge, policy: Policy) -> tuple[int, WrongStep | None]:
    """How many pods were bound as one plan for all probes has it, and the first that should not have been.

    The probes wait in the cluster; those of the plan have nodes afterwards.
    """
    seen = read_back(judge.api)
    objects = ObjectSet([a_queue_document(QUEUE), *gangs_of(seen), *seen])
    plan = plan_cycle(snapshot_of(objects, now=1_800_000_000.0, policy=policy), policy)
    documents = {key_of(probe): probe for probe in case.probes}
    judge.forget(documents[placement.pod] for placement in plan.binds)
    before: list[tuple[str, str]] = []
    for placement in plan.binds:
        probe = documents[placement.pod]
        for seconds in _SETTLE_SECONDS:
            time.sleep(seconds)
            answer = judge.ask([probe], case.owners)[placement.pod]
            assert isinstance(answer, Answer)
            if placement.node in answer.nodes:
                break
            judge.forget([probe])
        else:
            return len(before), WrongStep(
                case.seed, placement.pod, placement.node, tuple(before), answer, probe
            )
        namespace, _, name = placement.pod.partition("/")
        judge.api.bind(name, placement.node, namespace)
        before.append((placement.pod, placement.node))
    return len(before), None
