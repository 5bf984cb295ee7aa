"""Comparisons with lists: seldom while another source tells of every change, at once and often while it is blind."""

from __future__ import annotations

import asyncio

from kai_sched.cluster.comparison import BLIND_SECONDS, Comparison
from kai_sched.cluster.reflector import Pace, Source
from kai_sched.cluster.sightings import Sightings
from tests.unit.cluster.scripted import Collected, Done, ScriptedServer

SOURCE = Source(name="Queue", path="/queues")


class Stage:
    """A comparison whose pauses are written down; ``actions`` happen in its first pauses."""

    def __init__(self, *actions: str, faults: tuple[str, ...] = ()) -> None:
        self.server = ScriptedServer(faults=list(faults))
        self.sink = Collected()
        self.pauses: list[float] = []
        self.actions = list(actions)
        self.comparison = Comparison(
            self.server, SOURCE, Sightings(), self.sink, chance=lambda: 0.5, pace=Pace(), sleep=self.pause
        )

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if not self.actions:
            raise Done
        match self.actions.pop(0):
            case "blind":
                self.comparison.watched(is_watched=False)
            case "watched":
                self.comparison.watched(is_watched=True)
            case "put":
                self.server.put("q")
            case _:
                self.server.delete("q")

    def run(self) -> None:
        async def until_done() -> None:
            try:
                await self.comparison.run()
            except Done:
                return

        asyncio.run(until_done())


def test_a_blind_kind_is_carried_by_lists_alone():
    stage = Stage("blind", "put", "delete", "watched", "")
    stage.run()

    assert stage.pauses == [300.0, BLIND_SECONDS, BLIND_SECONDS, BLIND_SECONDS, 300.0, 300.0]
    assert [str(kind) for kind in stage.sink.kinds] == ["Added", "Deleted"]
    assert stage.comparison.stats.missed == 0, "nobody was there to tell"


def test_failures_are_asked_again_within_seconds():
    stage = Stage(*[""] * 12, faults=("refuse",) * 12)
    stage.run()

    assert max(stage.pauses[:-1]) <= 4.0


async def test_a_change_of_the_watch_is_followed_by_a_list_at_once():
    synced = Collected()
    listed = asyncio.Event()
    server = ScriptedServer(between_pages=listed.set)
    comparison = Comparison(server, SOURCE, Sightings(), synced, chance=lambda: 0.5)
    task = asyncio.create_task(comparison.run())
    await listed.wait()
    listed.clear()

    comparison.watched(is_watched=True)

    async with asyncio.timeout(20.0):
        await listed.wait()
    task.cancel()
