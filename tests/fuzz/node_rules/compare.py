"""Our set of feasible nodes beside kube-scheduler's, for every pod of every case."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from kai_sched.api.objects import ObjectSet
from kai_sched.api.snapshot import snapshot_of
from kai_sched.model.plan import Blocker
from kai_sched.model.policy import Policy
from kai_sched.placement.site.fleet_index import FleetCache
from kai_sched.placement.world.boards import Boards
from kai_sched.placement.world.build import build_world
from kai_sched.placement.world.horizon import Horizon
from kai_sched.planning.cycle import plan_cycle
from tests.documents import a_queue_document
from tests.fuzz.node_rules.cases import random_case
from tests.fuzz.node_rules.judge import PROBE, Answer, Judge, key_of
from tests.fuzz.node_rules.sequence import QUEUE, WrongStep, follow_plan, gangs_of
from tests.fuzz.node_rules.stage import Case, clear, read_back, set_up

Document = dict[str, Any]
POLICY = Policy(scheduler_name="default-scheduler", use_solver=False)
"""As if we had kube-scheduler's name: so the same pods are ours."""
_SETTLE_SECONDS = (0.05, 0.5, 2.0)
"""kube-scheduler reads each kind of object by a stream of its own: a difference counts if it is still there later."""


@dataclass(frozen=True)
class Ours:
    """``nodes``: where the core has room for the pod. ``bind``: where a cycle puts it ("": nowhere)."""

    nodes: frozenset[str]
    bind: str
    blocker: Blocker | None
    has_volumes: bool
    why: str
    unsupported: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    seed: int
    pod: str
    ours: Ours
    theirs: Answer
    document: Document = field(compare=False)

    def __str__(self) -> str:
        return (
            f"seed {self.seed}, {self.pod}: only ours {sorted(self.ours.nodes - self.theirs.nodes)}, "
            f"only theirs {sorted(self.theirs.nodes - self.ours.nodes)}, a cycle binds to {self.ours.bind or 'none'} "
            f"({self.ours.blocker})"
            f"\n  ours: {self.ours.why}\n  theirs: {self.theirs.message}\n  {self.document['spec']}"
        )


@dataclass
class Tally:
    """What was compared."""

    pairs: int = 0
    pods: int = 0
    feasible: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    """Pods of whole plans that kube-scheduler was followed through."""
    differences: list[Difference | WrongStep] = field(default_factory=list)


def our_answers(objects: list[Document], keys: Iterable[str]) -> dict[str, Ours]:
    """Our answer about each of these pods as if it were the only one that waits."""
    found = {}
    for key in keys:
        seen = ObjectSet([a_queue_document(QUEUE), *gangs_of(objects, min_member=1)])
        for raw in objects:
            name = f"{raw['metadata'].get('namespace', '')}/{raw['metadata']['name']}"
            if raw["kind"] != "Pod" or not raw["metadata"]["name"].startswith(PROBE) or name == key:
                seen.add(raw)
        found[key] = _our_answer(seen, key)
    return found


def _our_answer(objects: ObjectSet, key: str) -> Ours:
    snapshot = snapshot_of(objects, now=1_800_000_000.0, policy=POLICY)
    position = next(number for number, pod in enumerate(snapshot.pods) if pod.key == key)
    cache = FleetCache()
    world = build_world(snapshot, POLICY, cache)
    boards = Boards(world)
    slots = boards.slots(world.base.shape_of(position), Horizon.NOW)
    names = [node.name for node in world.base.table.nodes]
    plan = plan_cycle(snapshot, POLICY, cache)
    told = [f"{verdict.blocker}: {verdict.message}" for verdict in plan.verdicts]
    return Ours(
        nodes=frozenset(str(name) for name, count in zip(names, slots, strict=True) if count > 0),
        bind=str(plan.binds[0].node) if plan.binds else "",
        blocker=plan.verdicts[0].blocker,
        has_volumes=bool(snapshot.pods[position].spec.volume_claims),
        why="; ".join([*told, *map(str, snapshot.unreadable)]),
        unsupported=snapshot.pods[position].spec.unsupported,
    )


def compare(seeds: Iterable[int], probes: int, judge: Judge) -> Tally:
    """All cases of these seeds with so many pods each."""
    tally = Tally()
    for seed in seeds:
        case = random_case(seed, probes)
        set_up(judge.api, case)
        try:
            compare_case(case, judge, tally)
            steps, wrong = follow_plan(case, judge, POLICY)
            tally.steps += steps
            if wrong is not None:
                tally.differences.append(wrong)
        finally:
            clear(judge.api)
    return tally


def compare_case(case: Case, judge: Judge, tally: Tally) -> None:
    """A case that is set up."""
    pending = case.probes
    for attempt, seconds in enumerate(_SETTLE_SECONDS):
        time.sleep(seconds)
        answers = judge.ask(pending, case.owners)
        objects = read_back(judge.api)
        asked = {key: answer for key, answer in answers.items() if isinstance(answer, Answer)}
        ours = our_answers(objects, asked)
        different = {key for key in asked if not _agree(ours[key], asked[key])}
        nodes = sum(raw["kind"] == "Node" for raw in objects)
        for key, answer in answers.items():
            if isinstance(answer, str):
                tally.skipped[f"refused by the API server: {_cause(answer)}"] += 1
            elif key not in different:
                _count(tally, nodes, ours[key], answer)
        if not different:
            return
        if attempt == len(_SETTLE_SECONDS) - 1:
            by_key = {key_of(raw): raw for raw in objects if raw["kind"] == "Pod"}
            for key in sorted(different):
                tally.pods += 1
                tally.pairs += nodes
                tally.differences.append(Difference(case.seed, key, ours[key], asked[key], by_key[key]))
            return
        pending = [probe for probe in pending if key_of(probe) in different]
        judge.forget(pending)


def _agree(ours: Ours, theirs: Answer) -> bool:
    if ours.unsupported:
        return not ours.bind
    if ours.nodes != theirs.nodes:
        return False
    if theirs.nodes:
        return ours.bind in theirs.nodes
    return not ours.bind and ours.blocker in _blockers(reasons_of(theirs.message), ours.has_volumes)


def _blockers(reasons: set[str], has_volumes: bool) -> set[Blocker]:
    """What we may call it: a lack of room if every node lacks room, something else if none does.

    kube-scheduler looks at ports before room and at volumes after it, and says only what it finds first.
    """
    short = {reason for reason in reasons if reason.startswith(("Insufficient", "Too many pods"))}
    if not short and not any("free ports" in reason for reason in reasons):
        return {Blocker.NODE_CONSTRAINTS}
    is_alone = short == reasons and not has_volumes
    return {Blocker.CAPACITY} if is_alone else {Blocker.CAPACITY, Blocker.NODE_CONSTRAINTS}


def _count(tally: Tally, nodes: int, ours: Ours, theirs: Answer) -> None:
    if ours.unsupported:
        tally.skipped[f"unsupported: {ours.unsupported[0].partition(':')[0]}"] += 1
        return
    tally.pods += 1
    tally.pairs += nodes
    tally.feasible += len(theirs.nodes)
    for reason in reasons_of(theirs.message):
        tally.reasons[reason] += 1


def reasons_of(message: str) -> set[str]:
    """The reasons in a condition's message, without figures and names."""
    text = message.partition("available: ")[2].partition("preemption:")[0] or message
    text = re.sub(r"\{[^}]*\}", "{}", text)
    text = re.sub(r'"[^"]*"', '""', text)
    return {re.sub(r"^\d+ ", "", part.strip(" .")) for part in re.split(r", |\. ", text) if part.strip(" .")}


def _cause(answer: str) -> str:
    return re.sub(r".*?is invalid: ", "", re.sub(r'"[^"]*"', '""', answer))[:80]
