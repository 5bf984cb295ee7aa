"""A narrator before an API server that keeps what it is told, with a clock that stands still until told."""

from __future__ import annotations

import asyncio
from typing import Any

from kai_sched.cluster.contained import Contained
from kai_sched.cluster.kube.resources import POD_GROUPS, QUEUES, SHARDS
from kai_sched.errors import ApiFailure
from kai_sched.model.ids import PodGroupKey, QueueName
from kai_sched.model.outlook import Outlook, Prospect
from kai_sched.model.plan import Blocker, Outcome, Plan, Verdict
from kai_sched.model.workloads import PodState
from kai_sched.operator.narrator import Narrator, Voice
from kai_sched.operator.publisher import Publisher
from kai_sched.operator.shard import ShardNotice
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
        self.pod_patches: list[tuple[str, Document]] = []
        self.events: list[Document] = []

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
        self.pod_patches.append((path, body))
        return {}

    async def post(self, path: str, body: Document) -> Document:
        self.events.append(body)
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
    outlook=Outlook(prospect=Prospect.NOT_NOW),
)


class Stage:
    """A narrator before an API server, and a clock that stands still until told."""

    def __init__(self) -> None:
        self.api = ApiServer()
        self.now = 1000.0
        self.contained = Contained()
        self.publisher = Publisher(Idle(), Idle(), lambda: self.now, self.contained)
        voice = Voice(scheduler_name="s", instance="i")
        self.narrator = Narrator(self.api, self.publisher, voice, self.contained)
        self.queues = ["dept", "team-a"]
        self.verdicts: tuple[Verdict, ...] = ()
        self.pods = [a_pod(f"p{number}", group="g") for number in range(3)]
        self.has_shard = False
        self.remarks: tuple[str, ...] = ()
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
            ShardNotice("default", self.api.objects[SHARD] if self.has_shard else None, "", self.remarks),
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
