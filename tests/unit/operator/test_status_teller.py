"""A status is written when the object does not say it, and never because others say the same in other words."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kai_sched.cluster.kube.resources import POD_GROUPS, QUEUES, SHARDS
from kai_sched.errors import ApiFailure
from kai_sched.model.ids import PodGroupKey, QueueName
from kai_sched.model.plan import Blocker, Outcome, Plan, Verdict
from kai_sched.model.workloads import PodState
from kai_sched.operator.narrator import Narrator, Voice
from kai_sched.operator.publisher import Publisher
from tests.builders import NOW, a_group, a_pod, a_queue, a_snapshot

Document = dict[str, Any]


class ApiServer:
    """Statuses by path, under merge patches; ``kept`` says whether the CRDs know our part."""

    def __init__(self) -> None:
        self.objects: dict[str, Document] = {}
        self.writes: list[str] = []
        self.is_ours = True
        self.refusals = 0
        """So many writes to come of a pod group are forbidden."""

    def add(self, path: str, name: str) -> None:
        self.objects[path] = {"metadata": {"name": name, "uid": f"uid-{path}"}}

    async def patch_merge(self, path: str, body: Document) -> Document:
        if self.refusals and path.startswith(GANG):
            self.refusals -= 1
            raise ApiFailure("the roles are not read yet", status=403, retryable=False)
        self.writes.append(path.removesuffix("/status"))
        found = self.objects[path.removesuffix("/status")]
        status = merged(found.get("status") or {}, body["status"])
        if not self.is_ours:
            status.pop("kaiSched", None)
        found = self.objects[path.removesuffix("/status")] = {**found, "status": status}
        return found

    async def patch_strategic(self, path: str, body: Document) -> Document:
        return {}

    async def post(self, path: str, body: Document) -> Document:
        return {}


def merged(present: Document, patch: Document) -> Document:
    """RFC 7386."""
    found = dict(present)
    for name, value in patch.items():
        if isinstance(value, dict):
            known = found.get(name)
            found[name] = merged(known if isinstance(known, dict) else {}, value)
        elif value is None:
            found.pop(name, None)
        else:
            found[name] = value
    return found


class Idle:
    """Nothing to wait for, and every write allowed."""

    backlog = 0

    async def drained(self) -> None:
        return

    def may_write(self) -> bool:
        return True


GANG = POD_GROUPS.item_of_key("team/g")
ROOT = QUEUES.item("dept")
SHARD = SHARDS.item("default")
WAITS = Verdict(
    pod_group=PodGroupKey("team/g"),
    queue=QueueName("team-a"),
    outcome=Outcome.UNPLACED,
    blocker=Blocker.CAPACITY,
    message="2 GPUs are missing",
)


class Stage:
    """A narrator before an API server, and a clock that stands still until told."""

    def __init__(self) -> None:
        self.api = ApiServer()
        self.now = 1000.0
        self.publisher = Publisher(Idle(), Idle(), lambda: self.now)
        self.narrator = Narrator(self.api, self.publisher, Voice(scheduler_name="s", instance="i"))
        self.queues = ["dept", "team-a"]
        self.verdicts: tuple[Verdict, ...] = ()
        self.pods = [a_pod(f"p{number}", group="g") for number in range(3)]
        self.has_shard = False
        self.api.add(GANG, "g")
        for name in self.queues:
            self.api.add(QUEUES.item(name), name)

    def bind(self, count: int) -> None:
        """So many pods have a node."""
        self.pods = [
            a_pod(f"p{number}", group="g", node="n" if number < count else None, state=state)
            for number in range(3)
            for state in [PodState.BOUND if number < count else PodState.PENDING]
        ]

    async def cycle(self, after: float = 0.0, *, has_changed: bool = True) -> list[str]:
        """One cycle so many seconds later; the objects that were written."""
        self.now += after
        before = len(self.api.writes)
        if self.has_shard:
            self.narrator.tell_shard("default", self.api.objects[SHARD], "", NOW)
        snapshot = a_snapshot(
            pods=self.pods,
            groups=(a_group("g", min_member=3),),
            queues=[a_queue(name, parent=None if name != "team-a" else "dept") for name in self.queues],
        )
        if has_changed:
            self.narrator.note_changed([PodGroupKey("team/g")])
        self.narrator.tell_cycle(
            snapshot,
            Plan(now=NOW, verdicts=self.verdicts),
            {name: self.api.objects[QUEUES.item(name)] for name in self.queues},
            {"team/g": self.api.objects[GANG]},
        )
        self.publisher.release_held()
        for _ in range(40):
            await asyncio.sleep(0)
        return self.api.writes[before:]

    async def settle(self) -> None:
        """Until nothing more is written."""
        while await self.cycle(20.0):
            pass

    def status(self, path: str) -> Document:
        status: Document = self.api.objects[path].get("status") or {}
        return status

    def overwrite(self, path: str, **parts: Any) -> None:
        """Somebody else writes parts of a status."""
        self.api.objects[path] = {**self.api.objects[path], "status": {**self.status(path), **parts}}

    def pruned(self, path: str) -> str | None:
        """The status of the condition that says what is not kept; None if there is none."""
        conditions = self.status(path).get("conditions") or []
        return next((entry["status"] for entry in conditions if entry["type"] == "FieldsPruned"), None)


@pytest.fixture
async def stage():
    stage = Stage()
    writer = asyncio.create_task(stage.publisher._write())
    yield stage
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)


async def test_what_pods_hold_and_ask_for_is_told_with_the_verdict_in_one_write(stage: Stage):
    stage.verdicts = (WAITS,)

    written = await stage.cycle()

    assert written.count(GANG) == 1
    assert stage.status(GANG)["resourcesStatus"] == {
        "requested": {"cpu": "3", "memory": "3Gi", "nvidia.com/gpu": "3"}
    }
    assert await stage.cycle(60.0) == []


async def test_a_burst_of_binds_is_told_as_it_begins_and_when_it_is_over(stage: Stage):
    await stage.settle()

    written = []
    for step in range(12):
        stage.bind(1 + step // 4)
        written += await stage.cycle(0.5)
    assert written.count(GANG) == 1
    written += await stage.cycle(20.0)

    assert written.count(GANG) == 2
    assert stage.status(GANG)["resourcesStatus"]["allocated"] == {
        "cpu": "3",
        "memory": "3Gi",
        "nvidia.com/gpu": "3",
    }


async def test_a_change_is_told_though_its_own_cycle_found_no_plan(stage: Stage):
    await stage.settle()
    stage.bind(3)
    stage.narrator.note_changed([PodGroupKey("team/g")])

    written = await stage.cycle(20.0, has_changed=False)

    assert written.count(GANG) == 1
    assert "allocated" in stage.status(GANG)["resourcesStatus"]


async def test_a_change_whose_write_was_refused_is_told_by_a_later_cycle(stage: Stage):
    await stage.settle()
    stage.bind(3)
    stage.api.refusals = 1
    assert GANG not in await stage.cycle(20.0)

    written = await stage.cycle(20.0, has_changed=False)

    assert written.count(GANG) == 1
    assert "allocated" in stage.status(GANG)["resourcesStatus"]
    assert await stage.cycle(20.0, has_changed=False) == []


async def test_what_is_held_no_more_leaves_the_list(stage: Stage):
    stage.bind(3)
    await stage.settle()
    stage.pods = [pod for pod in stage.pods if pod.key == "team/none"]

    await stage.settle()

    assert stage.status(GANG)["resourcesStatus"] == {}


@pytest.mark.parametrize(
    "theirs",
    [
        {"requested": {"cpu": "3000m", "memory": "3072Mi", "nvidia.com/gpu": 3}},
        {"requested": {"cpu": "3", "memory": "1Gi", "nvidia.com/gpu": "3"}},
        {"requested": {"cpu": "3", "memory": "3Gi", "nvidia.com/gpu": "3", "example.com/nic": "1"}},
        {"requested": {"cpu": "nonsense"}},
        {},
    ],
    ids=["the same in other words", "another amount", "one more", "no quantity", "nothing"],
)
async def test_what_a_controller_of_kai_says_otherwise_starts_no_fight(stage: Stage, theirs: Document):
    await stage.settle()

    written = []
    for _ in range(5):
        stage.overwrite(GANG, resourcesStatus=theirs)
        written += await stage.cycle(20.0)

    assert written == []
    assert stage.status(GANG)["resourcesStatus"] == theirs


async def test_a_controller_that_answers_every_write_gets_one_write_a_change(stage: Stage):
    theirs = {"requested": {"cpu": "9", "example.com/nic": "1"}}
    await stage.settle()

    written = []
    for count in (1, 1, 2, 2, 2):
        stage.bind(count)
        for _ in range(3):
            written += await stage.cycle(20.0)
            stage.overwrite(GANG, resourcesStatus=theirs)

    assert written.count(GANG) == 2


async def test_amounts_of_queues_start_no_fight_either(stage: Stage):
    await stage.settle()
    stage.overwrite(ROOT, allocated={"nvidia.com/gpu": "250m"})

    assert [path for _ in range(3) for path in await stage.cycle(20.0)] == []


async def test_a_verdict_that_somebody_wrote_over_is_written_again(stage: Stage):
    stage.verdicts = (WAITS,)
    await stage.settle()
    stage.overwrite(GANG, schedulingConditions=[], resourcesStatus={"requested": {"cpu": "9"}})

    assert GANG in await stage.cycle(20.0)

    assert len(stage.status(GANG)["schedulingConditions"]) == 1
    assert stage.status(GANG)["resourcesStatus"]["requested"]["cpu"] == "3"


async def test_what_the_api_server_does_not_keep_is_said_once(stage: Stage):
    stage.api.is_ours = False
    stage.verdicts = (WAITS,)

    await stage.settle()

    assert [stage.pruned(path) for path in (ROOT, QUEUES.item("team-a"), GANG)] == ["True", None, None]
    condition = stage.status(ROOT)["conditions"][-1]
    assert condition["reason"] == "OtherDefinitions"
    assert "podgroups.scheduling.run.ai and queues.scheduling.run.ai" in condition["message"]
    assert "`kai-sched crds apply`" in condition["message"]
    assert stage.api.writes.count(QUEUES.item("team-a")) == 1


async def test_a_shard_says_it_where_there_is_one(stage: Stage):
    stage.api.is_ours = False
    stage.api.add(SHARD, "default")
    stage.has_shard = True

    await stage.settle()

    assert [stage.pruned(path) for path in (SHARD, ROOT)] == ["True", None]


async def test_a_shard_that_comes_later_takes_it_over(stage: Stage):
    stage.api.is_ours = False
    await stage.settle()
    stage.api.add(SHARD, "default")
    stage.has_shard = True

    await stage.settle()

    assert [stage.pruned(path) for path in (SHARD, ROOT)] == ["True", None]


async def test_our_own_definitions_say_nothing_about_it(stage: Stage):
    stage.verdicts = (WAITS,)

    await stage.settle()

    assert stage.pruned(ROOT) is None
    assert stage.status(GANG)["kaiSched"]["blocker"] == "Capacity"


async def test_what_only_our_part_would_say_is_not_written_where_it_is_pruned(stage: Stage):
    stage.api.is_ours = False
    await stage.settle()
    stage.pods = [a_pod("p0", group="g")]
    await stage.settle()
    stage.pods = [a_pod("p0", group="g", state=PodState.GATED)]

    assert await stage.cycle(20.0) == []


async def test_definitions_that_were_replaced_take_it_back_and_every_object_is_told(stage: Stage):
    stage.api.is_ours = False
    stage.verdicts = (WAITS,)
    await stage.settle()
    stage.api.is_ours = True
    # The next thing to say shows it.
    stage.verdicts = ()
    stage.bind(3)

    await stage.settle()

    assert stage.pruned(ROOT) == "False"
    assert all("kaiSched" in stage.status(path) for path in (GANG, ROOT, QUEUES.item("team-a")))
