"""Lists that run beside a stream of events: neither overrules the other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kai_sched.cluster.sightings import ChangeKind, Sightings
from tests.unit.cluster.scripted import Collected, an_object


def test_an_object_deleted_while_a_list_is_on_its_way_does_not_come_back():
    sightings = Sightings()
    sightings.see("ADDED", an_object("a", "u1", 5))
    page = [an_object("a", "u1", 5)]

    sightings.begin_list()
    sightings.see("DELETED", an_object("a", "u1", 6))
    changes = sightings.add_page(page, "5")
    vanished, _ = sightings.end_list("5")

    assert changes == []
    assert vanished == []
    assert len(sightings) == 0


def test_an_object_created_while_a_list_is_on_its_way_has_not_vanished():
    sightings = Sightings()

    sightings.begin_list()
    sightings.see("ADDED", an_object("new", "u1", 9))
    sightings.add_page([], "8")
    vanished, _ = sightings.end_list("8")

    assert vanished == []
    assert list(sightings.keys()) == ["ns/new"]


def test_a_listed_object_does_not_overrule_a_newer_event():
    sightings = Sightings()
    sightings.begin_list()
    sightings.see("MODIFIED", an_object("a", "u1", 7))

    assert sightings.add_page([an_object("a", "u1", 5)], "6") == []


def test_the_deletion_of_an_earlier_object_of_the_name_is_ignored():
    sightings = Sightings()
    sightings.see("ADDED", an_object("a", "u2", 8))

    assert sightings.see("DELETED", an_object("a", "u1", 7)) == []
    assert len(sightings) == 1


def test_an_object_without_name_or_uid_is_counted_and_left_out():
    sightings = Sightings()

    assert sightings.see("ADDED", {"metadata": {"name": "a"}}) == []
    assert sightings.see("ADDED", {"spec": {}}) == []
    assert sightings.unreadable == 2


def test_a_kind_that_is_gone_takes_its_objects_along():
    sightings = Sightings()
    sightings.see("ADDED", an_object("a", "u1", 5))

    assert [change.kind for change in sightings.clear()] == [ChangeKind.DELETED]
    assert sightings.resource_version == ""


@given(
    st.lists(st.tuples(st.sampled_from(["put", "delete"]), st.integers(0, 4)), max_size=30),
    st.data(),
)
def test_lists_and_late_events_add_up_to_what_exists(operations, data):
    """One history; events arrive late by any amount, lists are taken of any moment not before the events seen."""
    history, states = _history(operations)
    sightings, sink = Sightings(), Collected()
    told = 0
    while told < len(history):
        if data.draw(st.booleans()):
            moment = data.draw(st.integers(told, len(history)))
            pages = _pages(states[moment])
            sightings.begin_list()
            for page in pages:
                sink.apply(sightings.add_page(page, str(moment + 1)))
                until = data.draw(st.integers(told, len(history)))
                for event in history[told:until]:
                    sink.apply(sightings.see(*event))
                told = until
            vanished, _ = sightings.end_list(str(moment + 1))
            sink.apply(vanished)
        else:
            sink.apply(sightings.see(*history[told]))
            told += 1

    truth = states[-1]
    assert sink.held == {
        f"ns/{n}": (o["metadata"]["uid"], o["metadata"]["resourceVersion"]) for n, o in truth.items()
    }


def _history(operations):
    live: dict[str, dict] = {}
    history, states = [], [{}]
    for verb, index in operations:
        name = f"a{index}"
        version = len(history) + 2
        old = live.get(name)
        if verb == "put":
            uid = old["metadata"]["uid"] if old else f"u{version}"
            live[name] = an_object(name, uid, version)
            history.append(("MODIFIED" if old else "ADDED", live[name]))
        elif old:
            del live[name]
            history.append(("DELETED", an_object(name, old["metadata"]["uid"], version)))
        else:
            continue
        states.append(dict(live))
    return history, states


def _pages(state):
    items = list(state.values())
    return [items[start : start + 2] for start in range(0, len(items), 2)] or [[]]
