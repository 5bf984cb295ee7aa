"""What is remembered of a fleet is bounded, and forgetting it changes no answer."""

from __future__ import annotations

from collections.abc import Sequence

from kai_sched.devices.allocator import DeviceState, Options, allocate
from kai_sched.devices.cel import selector
from kai_sched.devices.cel.device_view import DeviceFacts
from kai_sched.devices.closures import OPEN
from kai_sched.devices.index import DeviceIndex
from kai_sched.devices.memory import DeviceMemory, Kept
from kai_sched.devices.recall import recall_of
from kai_sched.devices.verdict_rows import VerdictRow
from kai_sched.model.devices import Device, DeviceClass, ResourceSlice
from kai_sched.model.ids import NodeName
from kai_sched.model.nodes import Node
from tests.unit.devices.dra import a_claim, a_request


def test_answers_are_forgotten_all_at_once_when_they_weigh_too_much():
    kept = Kept[str, int](10)
    for number in range(10):
        kept.keep(str(number), number)
    assert len(kept) == 10

    assert kept.keep("heavy", 99, weight=4) == 99

    assert len(kept) == 1
    assert (kept.get("3"), kept.get("heavy")) == (None, 99)


def test_one_answer_that_weighs_more_than_all_may_is_kept_until_the_next():
    kept = Kept[str, int](10)
    kept.keep("huge", 1, weight=50)
    assert kept.get("huge") == 1

    kept.keep("small", 2)
    assert (kept.get("huge"), kept.get("small")) == (None, 2)


def test_a_part_is_made_once_of_what_it_needs():
    memory = DeviceMemory()

    assert memory.part(Kept, 3) is memory.part(Kept, 3)
    assert memory.part(list) == []
    memory.part(list).append("kept")
    assert memory.part(list) == ["kept"]


def test_a_row_knows_what_was_said_of_each_device():
    row = VerdictRow[str](4)
    yes, no = "yes", "no"
    row.keep(0, yes)
    row.keep(3, no)
    row.keep(2, yes)

    assert [row.get(ordinal) for ordinal in range(4)] == [yes, None, yes, no]


def test_a_row_leaves_out_what_differs_too_often():
    row = VerdictRow[str](1000)
    said = [row.keep(ordinal, f"error on {ordinal}") for ordinal in range(1000)]

    assert said == [f"error on {ordinal}" for ordinal in range(1000)]
    found = [row.get(ordinal) for ordinal in range(1000)]
    assert found[:255] == said[:255]
    assert set(found[255:]) == {None}


def an_index(devices: int, **attributes: str) -> DeviceIndex:
    published = ResourceSlice(
        name="s",
        driver="d",
        pool="n",
        generation=1,
        slice_count=1,
        node_name=NodeName("n"),
        devices=tuple(
            Device(
                name=f"gpu-{number}",
                attributes=tuple((f"d/{key}", ("string", value)) for key, value in attributes.items()),
            )
            for number in range(devices)
        ),
    )
    return DeviceIndex([published], [DeviceClass(name="gpu")])


def test_an_index_that_forgot_verdicts_gives_the_same_again(monkeypatch):
    monkeypatch.setattr("kai_sched.devices.index._MOST_ROW_BYTES", 5_000)
    index = an_index(30)
    keys = [("gpu", (f'device.driver == "{name}"',), OPEN) for name in ("d", "e", "f", "g")]

    def answers() -> list[bool]:
        verdicts = [index.verdict_on(key, entry) for key in keys for entry in index.devices]
        return [not isinstance(one, str) and one.is_match for one in verdicts]

    assert answers() == answers() == [True] * 30 + [False] * 90
    assert len(index._verdicts) <= 2


def test_what_all_selectors_remember_is_bounded_together(monkeypatch):
    monkeypatch.setattr(selector, "_MAX_MEMOISED_TOGETHER", 50)
    selector._memoised[0] = 0
    selector.compiled_selector.cache_clear()
    for number in range(20):
        chosen = selector.compiled_selector(f'device.driver != "{number}"')
        assert all(
            chosen.verdict(DeviceFacts(f"driver-{one}", Device(name="g"))).is_match for one in range(10)
        )

    assert selector.compiled_selector.cache_info().currsize <= 6


def asked_of_one_node(index: DeviceIndex, names: Sequence[str]) -> list[bool]:
    """Whether claims of a GPU, each with a selector of its own, get one: by a search, as two are of one kind."""
    node, found = Node(name=NodeName("n")), []
    for name in names:
        constraints = [{"matchAttribute": "d/model"}]
        claim = a_claim(a_request("gpu", f'device.driver != "{name}"'), name=name, constraints=constraints)
        found.append(isinstance(allocate(index, DeviceState(), node, [claim], Options()), tuple))
    return found


def test_what_is_recalled_of_searches_is_bounded_and_forgetting_it_changes_no_answer(monkeypatch):
    names = ["d", *(f"other-{number}" for number in range(40))]
    expected = asked_of_one_node(an_index(3, model="x"), names * 2)
    monkeypatch.setattr("kai_sched.devices.recall._MOST_KEPT", 600)
    index = an_index(3, model="x")

    assert asked_of_one_node(index, names * 2) == expected == ([False] + [True] * 40) * 2

    assert 0 < len(recall_of(index)) <= 6


def test_a_question_that_was_forgotten_is_never_taken_for_another(monkeypatch):
    monkeypatch.setattr("kai_sched.devices.recall._MOST_KEPT", 1)
    index, node = an_index(3, model="x"), Node(name=NodeName("n"))
    memory, state = recall_of(index), DeviceState()
    identities = []
    for number in range(50):
        claim = a_claim(a_request("gpu", f'device.driver != "{number}"'), name=f"c{number}")
        query = memory.query(index, state, node, [claim], None)
        assert query is not None
        identities.append(query.identity)

    assert len(set(identities)) == 50
