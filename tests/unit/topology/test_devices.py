"""Which set of devices lies best, judged by where drivers say that devices sit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kai_sched.model.devices import Device
from kai_sched.topology.devices import DevicePreference, preferred_ordinals
from kai_sched.topology.places import place_of
from tests.unit.topology.fleets import DRIVER, a_device

ISLANDS = ("resource.kubernetes.io/nvlinkDomain", "resource.kubernetes.io/pcieRoot")


def the_best(devices: list[Device], count: int, islands: tuple[str, ...] = ISLANDS) -> list[str]:
    positions = DevicePreference(islands).best([(DRIVER, device) for device in devices], count)
    return [devices[position].name for position in positions]


def test_one_island_is_better_than_one_numa_node():
    devices = [
        a_device("a", nvlink="x", numa=0),
        a_device("b", nvlink="y", numa=0),
        a_device("c", nvlink="x", numa=1),
    ]

    assert the_best(devices, 2, ("nvlink",)) == ["a", "c"]


def test_one_numa_node_is_better_than_one_pcie_root():
    devices = [
        a_device("a", nvlink="x", numa=0, root="r"),
        a_device("b", nvlink="x", numa=1, root="r"),
        a_device("c", nvlink="x", numa=0, root="s"),
    ]

    assert the_best(devices, 2, ("nvlink",)) == ["a", "c"]


def test_one_pcie_root_is_better_than_two():
    devices = [
        a_device("a", nvlink="x", numa=0, root="r"),
        a_device("b", nvlink="x", numa=0, root="s"),
        a_device("c", nvlink="x", numa=0, root="r"),
    ]

    assert the_best(devices, 2, ("nvlink",)) == ["a", "c"]


def test_the_island_with_least_left_is_used_up():
    devices = [a_device(f"a{n}", nvlink="x") for n in range(4)] + [
        a_device(f"b{n}", nvlink="y") for n in range(2)
    ]

    assert the_best(devices, 1, ("nvlink",)) == ["b0"]


def test_a_board_that_is_cut_already_is_used_up_before_another():
    devices = [a_device(f"a{n}", parentUUID="A") for n in range(3)] + [a_device("b2", parentUUID="B")]

    assert the_best(devices, 1) == ["b2"]


def test_equal_sets_go_by_order():
    assert the_best([a_device(f"a{n}", numa=n // 4) for n in range(8)], 3) == ["a0", "a1", "a2"]


def test_devices_that_say_nothing_are_taken_in_order():
    assert the_best([a_device(name) for name in "abc"], 2) == ["a", "b"]


def test_many_devices_are_chosen_well_without_trying_every_set():
    devices = [a_device(f"gpu-{n:02}", nvlink=f"i{n % 4}", numa=n % 2) for n in range(32)]

    assert the_best(devices, 8, ("nvlink",)) == [f"gpu-{n:02}" for n in range(0, 32, 4)]


def test_what_is_remembered_of_one_node_serves_nodes_alike_only():
    preference = DevicePreference(("nvlink",))
    one = [(DRIVER, a_device(f"a{n}", nvlink=f"x{n // 2}")) for n in range(4)]
    like = [(DRIVER, a_device(f"b{n}", nvlink=f"y{n // 2}")) for n in range(4)]
    other = [(DRIVER, a_device(f"c{n}", nvlink=f"z{n % 2}")) for n in range(4)]

    assert preference.best(one, 2) == preference.best(like, 2) == (0, 1)
    assert preference.best(other, 2) == (0, 2)


def test_the_first_island_attribute_that_is_there_names_the_island():
    both = a_device("a", **{ISLANDS[0]: "n1", ISLANDS[1]: "p1"})

    assert place_of(DRIVER, both, ISLANDS).island == f"{ISLANDS[0]}=n1"
    assert place_of(DRIVER, a_device("b", root="p1"), ISLANDS).island == f"{ISLANDS[1]}=p1"


def test_an_attribute_may_be_written_with_the_drivers_own_domain():
    device = a_device("a", **{f"{DRIVER}/nvlink": "n1"})

    assert place_of(DRIVER, device, ("nvlink",)).island == "nvlink=n1"


@pytest.mark.parametrize(
    ("free", "count", "chosen"),
    [
        (range(8), 1, (0,)),
        (range(8), 4, (0, 1, 2, 3)),
        ((0, 2, 3, 4), 1, (0,)),
        ((0, 1, 2, 4, 5), 2, (4, 5)),
        ((1, 2, 3, 4, 5), 2, (2, 3)),
        ((1, 2, 3, 4, 5, 6, 7), 4, (4, 5, 6, 7)),
        ((1, 2, 3), 2, (2, 3)),
        ((0, 2, 4), 2, (0, 2)),
        ((0, 1), 0, ()),
    ],
    ids=str,
)
def test_gpus_without_attributes_are_taken_as_neighbours(free, count, chosen):
    assert preferred_ordinals(tuple(free), count) == chosen


@given(st.sets(st.integers(0, 15), min_size=1), st.integers(1, 16))
def test_only_free_ordinals_are_taken_as_many_as_are_asked_for(free: set[int], count: int):
    chosen = preferred_ordinals(tuple(free), count)

    assert set(chosen) <= free
    assert len(set(chosen)) == min(count, len(free))
