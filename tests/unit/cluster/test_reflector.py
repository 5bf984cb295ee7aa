"""The reflector against a scripted server: whatever breaks, its changes add up to what exists."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kai_sched.cluster.reflector import Pace, Reflector, Source
from tests.unit.cluster.scripted import Collected, Done, ScriptedServer


def _follow(server: ScriptedServer, *, pace: Pace | None = None) -> tuple[Reflector, Collected, list[float]]:
    """Run a reflector until the server has nothing more to tell."""
    sink = Collected()
    delays: list[float] = []

    async def sleep(seconds: float) -> None:
        delays.append(seconds)

    async def run() -> Reflector:
        reflector = Reflector(
            server, Source(name="things", path="/things"), sink, chance=lambda: 0.5, pace=pace, sleep=sleep
        )
        with pytest.raises(Done):
            async with asyncio.timeout(10):
                await reflector.run()
        return reflector

    return asyncio.run(run()), sink, delays


def test_objects_of_all_pages_arrive_before_the_sink_is_told_that_it_is_complete():
    server = ScriptedServer()
    for index in range(7):
        server.put(f"a{index}")

    _, sink, _ = _follow(server, pace=Pace(page_limit=3))

    assert sink.held == server.truth()
    assert sink.is_synced


def test_an_expired_watch_lists_again_and_tells_what_vanished_meanwhile():
    server = ScriptedServer(faults=["", "gone"])
    server.put("stays")
    server.put("goes")

    def lose_history() -> None:
        server.before_watch = lambda: None
        server.delete("goes")
        server.put("comes")

    server.before_watch = lose_history
    reflector, sink, _ = _follow(server)

    assert sink.held == server.truth()
    assert sink.kinds == ["Added", "Added", "Added", "Deleted"]
    assert reflector.stats.expired == 1
    assert reflector.stats.lists == 2


def test_a_broken_connection_goes_on_where_it_stopped_without_a_list():
    server = ScriptedServer(faults=["", "cut"])

    def fill() -> None:
        server.before_watch = lambda: None
        for index in range(10):
            server.put(f"a{index}")

    server.before_watch = fill
    reflector, sink, delays = _follow(server)

    assert sink.held == server.truth()
    assert sink.kinds == ["Added"] * 10
    assert reflector.stats.lists == 1
    assert server.watched_from == ["100", "105"]
    assert len(delays) == 1


def test_delays_double_up_to_the_limit_and_a_long_outage_ends_in_a_list():
    server = ScriptedServer(faults=["", *["refuse"] * 12])
    server.put("a")

    reflector, sink, delays = _follow(server, pace=Pace(longest_wait_seconds=5.0))

    assert delays == [0.75 * min(5.0, 0.2 * 2**n) for n in range(12)]
    assert reflector.stats.lists == 2
    assert sink.held == server.truth()


def test_a_line_that_is_not_json_is_counted_and_answered_by_a_list():
    server = ScriptedServer(faults=["", "garbage"])
    server.put("a")

    reflector, sink, _ = _follow(server)

    assert reflector.stats.undecodable == 1
    assert reflector.stats.lists == 2
    assert sink.held == server.truth()


def test_a_list_whose_pages_expire_again_and_again_is_asked_for_whole():
    server = ScriptedServer(faults=["expire"] * 4)
    for index in range(4):
        server.put(f"a{index}")

    _, sink, _ = _follow(server, pace=Pace(page_limit=2))

    assert server.limits == [2, 2, 2, 0, 0][: len(server.limits)]
    assert server.limits[-1] == 0
    assert sink.held == server.truth()


def test_a_name_taken_over_by_a_new_object_is_a_deletion_and_an_addition():
    server = ScriptedServer(faults=["", "gone"])
    server.put("a")

    def replace() -> None:
        server.before_watch = lambda: None
        server.delete("a")
        server.put("a")

    server.before_watch = replace
    _, sink, _ = _follow(server)

    assert sink.kinds == ["Added", "Deleted", "Added"]
    assert sink.held == server.truth()


def test_what_the_watch_failed_to_tell_is_found_by_the_next_list_and_counted():
    server = ScriptedServer(faults=["", "", ""])
    server.put("a")

    def change_in_secret() -> None:
        server.before_watch = lambda: None
        server.put("b")
        server.put("told")
        server.history.pop(-2)

    server.before_watch = change_in_secret
    reflector, sink, _ = _follow(server, pace=Pace(relist_seconds=0.0))

    assert sink.held == server.truth()
    assert reflector.stats.missed == 1


def test_numbers_that_went_back_after_a_restore_from_backup_do_not_hide_older_objects():
    server = ScriptedServer(faults=["", ""], version=500)
    server.put("a", colour="new")
    server.put("lost")

    def restore() -> None:
        server.before_watch = lambda: None
        server.live.clear()
        server.history.clear()
        server.version = 50
        server.put("a", colour="old")
        server.version = 60

    server.before_watch = restore
    _, sink, _ = _follow(server)

    assert sink.held == server.truth()


@given(
    st.lists(st.sampled_from(["", "refuse", "expire", "gone", "cut", "busy", "garbage"]), max_size=12),
    st.lists(st.tuples(st.sampled_from(["put", "delete"]), st.integers(0, 5)), max_size=40),
    st.integers(1, 3),
)
def test_changes_add_up_to_what_exists_whatever_breaks(faults, operations, limit):
    server = ScriptedServer(faults=list(faults))
    for index in range(4):
        server.put(f"a{index}")
    script = list(operations)

    def some() -> None:
        for verb, index in script[:3]:
            server.put(f"a{index}") if verb == "put" else server.delete(f"a{index}")
        del script[:3]

    server.before_watch = some
    server.between_pages = some
    server.is_over = lambda: not script
    _, sink, _ = _follow(server, pace=Pace(page_limit=limit))

    assert sink.held == server.truth()
