"""For every promise a plan that is tampered with, and the judge sees it; the same table is printed by ``make tamper``."""

from __future__ import annotations

import pytest

from kai_sched.placement.checker import ViolationKind
from kai_sched.planning.checks.plan_checker import PlanChecker
from tests.tamper.bugs import BUGS, Bug
from tests.tamper.row import Row
from tests.tamper.table import ROWS


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_judge_passes_the_honest_plan_and_sees_what_was_done_to_it(row: Row) -> None:
    snapshot, plan = row.honest()

    assert PlanChecker()(snapshot, row.policy, plan) == ()
    assert row.complaints() != ()


def test_every_kind_of_promise_has_a_row() -> None:
    assert {row.kind for row in ROWS} == set(ViolationKind)


@pytest.mark.parametrize("bug", BUGS, ids=str)
def test_the_judge_sees_what_an_engine_with_a_bug_decides(bug: Bug) -> None:
    assert bug.complaints(planted=False) == ()
    assert bug.complaints() != ()
