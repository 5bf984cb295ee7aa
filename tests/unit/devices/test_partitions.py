"""Boxes of shared hardware: which mixtures they hold, and what is left to the search."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from kai_sched.devices import patterns
from kai_sched.devices.allocator import DeviceIndex, DeviceState, allocate, grant, piece_needs
from kai_sched.devices.closures import OPEN
from kai_sched.devices.partitions import PieceKey, partitions_of
from kai_sched.devices.patterns import Layout
from kai_sched.model.devices import ClaimAllocation, ClaimSpec, DeviceConstraint, DeviceRequest
from tests.fleets import a_claim, a_fleet, a_mig_fleet, asks_gpu, asks_mig


def key_of(request: DeviceRequest) -> PieceKey:
    return (request.device_class, request.selectors, OPEN), request.tolerations


def mixtures(layout: Layout, left: int, *masks: int) -> set[tuple[int, ...]]:
    found = layout.patterns(left, masks)
    assert found is not None
    return {pattern.counts for pattern in found}


def test_a_layout_lists_every_mixture_that_no_other_one_contains() -> None:
    # Four slices; kind 0 takes one, kind 1 two neighbours, kind 2 all.
    slices = [{f"s{n}": 1} for n in range(4)]
    pairs = [{"s0": 1, "s1": 1}, {"s2": 1, "s3": 1}]
    whole = [{f"s{n}": 1 for n in range(4)}]
    layout = Layout.of({f"s{n}": 1 for n in range(4)}, [*slices, *pairs, *whole])

    assert mixtures(layout, layout.whole, 0b1111, 0b110000, 0b1000000) == {
        (4, 0, 0),
        (2, 1, 0),
        (0, 2, 0),
        (0, 0, 1),
    }


def test_counters_with_fractions_are_exact() -> None:
    third = Fraction(1, 3)
    layout = Layout.of({"c": Fraction(1)}, [{"c": third}] * 4)

    assert mixtures(layout, layout.whole, 0b1111) == {(3,)}
    assert layout.parts(layout.whole) == {"c": 1}


def test_one_counter_never_borrows_from_its_neighbour() -> None:
    layout = Layout.of({"a": 1, "b": 7}, [{"a": 1, "b": 1}, {"a": 1, "b": 7}, {"b": 6}])

    assert layout.without(layout.whole, layout.uses[0]) is not None
    left = layout.without(layout.whole, layout.uses[0])
    assert left is not None
    assert layout.without(left, layout.uses[1]) is None
    assert mixtures(layout, layout.whole, 0b111) == {(2,)}


def test_too_many_sets_of_devices_are_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "MAX_SETS", 10)
    layout = Layout.of({"c": 100}, [{"c": 1}] * 20)

    assert layout.patterns(layout.whole, ((1 << 20) - 1,)) is None


def test_an_h100_holds_what_nvidia_says() -> None:
    fleet = a_mig_fleet(1, 1)
    index = DeviceIndex.of(fleet)
    keys = [key_of(asks_mig(name)) for name in ("1g.10gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb")]

    (box,) = partitions_of(index).boxes_now(DeviceState(), 0, keys) or []

    held = {pattern.counts for pattern in box.patterns}
    assert box.is_whole
    assert held >= {(7, 0, 0, 0, 0), (1, 3, 0, 0, 0), (0, 0, 2, 0, 0), (0, 0, 1, 1, 0), (0, 0, 0, 0, 1)}
    assert not any(pattern[3] > 1 or pattern[2] + pattern[3] > 2 for pattern in held)


def test_what_is_taken_is_missing_from_the_mixtures() -> None:
    fleet = a_mig_fleet(1, 1)
    index, state = DeviceIndex.of(fleet), DeviceState()
    claim = a_claim("c", asks_mig("3g.40gb"))
    given = allocate(index, state, fleet.nodes[0], [claim])
    assert isinstance(given, tuple)
    state.take(given[0])

    (box,) = partitions_of(index).boxes_now(state, 0, [key_of(asks_mig("3g.40gb"))]) or []

    assert not box.is_whole
    assert [pattern.counts for pattern in box.patterns] == [(1,)]
    assert partitions_of(index).most(state, 0, key_of(asks_mig("7g.80gb"))) == 0


def test_chosen_devices_are_granted_and_those_that_clash_are_not() -> None:
    fleet = a_mig_fleet(1, 1)
    index, state = DeviceIndex.of(fleet), DeviceState()
    requests = (asks_mig("3g.40gb", name="a"), asks_mig("4g.40gb", name="b"))
    claim = a_claim("c", *requests)
    keys = [key_of(request) for request in requests]
    (box,) = partitions_of(index).boxes_now(state, 0, keys) or []
    (pattern,) = (one for one in box.patterns if one.counts == (1, 1))
    chosen = {keys[kind]: [box.device(position)] for kind, position in pattern.devices}

    granted = grant(index, state, fleet.nodes[0], [claim], chosen)

    assert granted is not None
    assert [type(one) for one in granted] == [ClaimAllocation]
    assert {result.request for result in granted[0].results} == {"a", "b"}
    state.take(granted[0])
    assert grant(index, state, fleet.nodes[0], [claim], chosen) is None
    short = {**chosen, keys[1]: []}
    assert grant(index, DeviceState(), fleet.nodes[0], [claim], short) is None


@pytest.mark.parametrize(
    "spec",
    [
        ClaimSpec(
            requests=(asks_mig("1g.10gb"),), constraints=(DeviceConstraint((), match_attribute="a/b"),)
        ),
        ClaimSpec(requests=(replace(asks_mig("1g.10gb"), mode="All"),)),
        ClaimSpec(requests=(replace(asks_mig("1g.10gb"), admin_access=True),)),
        ClaimSpec(requests=(DeviceRequest(name="r", first_available=(asks_mig("1g.10gb"),)),)),
        ClaimSpec(requests=(replace(asks_mig("1g.10gb"), selectors=("device.nonsense",)),)),
        ClaimSpec(requests=(replace(asks_mig("1g.10gb"), device_class="unknown"),)),
    ],
    ids=["constraint", "all", "admin", "alternatives", "broken selector", "no class"],
)
def test_other_claims_are_left_to_the_search(spec: ClaimSpec) -> None:
    assert piece_needs(DeviceIndex.of(a_mig_fleet(1, 1)), [spec]) is None


def test_devices_that_serve_many_are_left_to_the_search() -> None:
    fleet = a_fleet({"name": "s", "count": 1, "devices": [{"profile": "nvidia-h100", "sharing": "memory"}]})

    assert piece_needs(DeviceIndex.of(fleet), [ClaimSpec(requests=(asks_gpu(),))]) is None


def test_pieces_open_no_fewer_boxes_than_their_largest_counter_demands() -> None:
    fleet = a_mig_fleet(1, 4)
    partitions = partitions_of(DeviceIndex.of(fleet))
    small, large = key_of(asks_mig("1g.10gb")), key_of(asks_mig("4g.40gb"))

    assert partitions.least_opened(DeviceState(), {small: 7}) == 1
    assert partitions.least_opened(DeviceState(), {small: 8}) == 2
    assert partitions.least_opened(DeviceState(), {large: 2}) == 2
    assert partitions.least_opened(DeviceState(), {}) == 0
