"""The loop ends when it is asked to, also in the very moment in which something happens."""

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest

from kai_sched.operator.loop import Crew, CycleLoop
from kai_sched.operator.pace import Pace


def a_loop(wake: asyncio.Event) -> CycleLoop:
    """A loop of which only the waiting is looked at."""
    unused = SimpleNamespace(backlog=0)
    crew = SimpleNamespace(
        mirror=SimpleNamespace(wake=wake),
        solver=unused,
        binder=unused,
        narrator=unused,
        telemetry=unused,
        write_groups=None,
        note_shard=None,
        contained=None,
    )
    return CycleLoop(cast("Crew", crew), lambda: None, Pace())


async def test_being_cancelled_as_an_event_arrives_still_ends_the_wait():
    wake = asyncio.Event()
    waiting = asyncio.create_task(a_loop(wake)._until_due())
    await asyncio.sleep(0.05)

    wake.set()
    await asyncio.sleep(0)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
