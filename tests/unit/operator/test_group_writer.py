"""Pod groups of workloads are written until they are there, at a decent pace."""

from __future__ import annotations

from kai_sched.grouping import GroupWrite
from kai_sched.grouping.grouper import Verb
from kai_sched.model.ids import PodGroupKey
from kai_sched.operator.group_writer import GroupWriter

CREATE = GroupWrite(PodGroupKey("team/pg"), Verb.CREATE, {"spec": {"minMember": 2}})
PATCH = GroupWrite(PodGroupKey("team/pg"), Verb.PATCH, {"spec": {"minMember": 3}})


class Calls:
    """Records calls instead of making them."""

    def __init__(self) -> None:
        self.made: list[tuple[str, str]] = []

    async def post(self, path, body):
        self.made.append(("POST", path))
        return body

    async def patch_merge(self, path, body):
        self.made.append(("PATCH", path))
        return body


class Now:
    """A publisher that only collects."""

    def __init__(self) -> None:
        self.sayings = []

    def once(self, saying) -> None:
        self.sayings.append(saying)


class Office:
    def __init__(self) -> None:
        self.now = 0.0
        self.calls, self.publisher = Calls(), Now()
        self.writer = GroupWriter(self.calls, self.publisher, lambda: self.now)  # type: ignore[arg-type]

    async def offer(self, *due: GroupWrite, after: float = 0.0) -> list[tuple[str, str]]:
        """The calls that an offer leads to."""
        self.now += after
        self.writer.offer(due)
        for saying in self.publisher.sayings:
            await saying.send()
        self.publisher.sayings.clear()
        made, self.calls.made = self.calls.made, []
        return made


GROUPS = "/apis/scheduling.run.ai/v2alpha2/namespaces/team/podgroups"


async def test_a_write_is_not_repeated_before_its_watch_had_time_to_show_it():
    office = Office()

    assert await office.offer(CREATE) == [("POST", GROUPS)]
    assert await office.offer(CREATE, after=1.0) == []
    assert await office.offer(CREATE, after=1.5) == [("POST", GROUPS)]
    assert await office.offer(CREATE, after=2.5) == []


async def test_another_write_of_the_same_group_goes_at_once():
    office = Office()
    await office.offer(CREATE)

    assert await office.offer(PATCH, after=0.1) == [("PATCH", f"{GROUPS}/pg")]


async def test_a_group_that_was_settled_and_vanished_is_made_again_at_once():
    office = Office()
    await office.offer(CREATE)
    await office.offer()

    assert await office.offer(CREATE, after=0.1) == [("POST", GROUPS)]
