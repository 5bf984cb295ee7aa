"""In which order units leave, and who must leave before whom."""

from __future__ import annotations

from kai_sched.placement.clearing.units import Roster, Unit, total


def a_unit(owner: str, rank: int, *loss: int) -> Unit:
    return Unit.of(owner, rank, (), loss)


def test_the_cheapest_leave_first():
    roster = Roster([a_unit("a", 0, 1, 5), a_unit("b", 0, 0, 9), a_unit("c", 0, 1, 2)])

    assert roster.order == [1, 2, 0]


def test_nobody_leaves_before_those_of_its_owner_that_leave_before_it():
    roster = Roster([a_unit("a", 0, 9), a_unit("a", 1, 1), a_unit("b", 0, 5)])

    assert roster.order == [2, 0, 1]


def test_who_leaves_takes_those_before_it_along():
    units = [a_unit("a", 0, 1), a_unit("a", 1, 2), a_unit("a", 2, 9), a_unit("b", 0, 3)]
    roster = Roster(units)

    assert roster.closed([1]) == [0, 1]
    assert roster.closed([2, 3]) == [0, 1, 3, 2]
    assert roster.closed([]) == []


def test_losses_are_added_part_by_part():
    assert total([a_unit("a", 0, 1, 2), a_unit("b", 0, 0, 5)], 2) == (1, 7)
    assert total([], 2) == (0, 0)
