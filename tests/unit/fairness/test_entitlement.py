"""What one queue may take back from another, unit by unit: KAI's rules of reclaim at every level of the tree."""

from __future__ import annotations

import pytest

from kai_sched.fairness.entitlement import Entitlement, Taking
from kai_sched.fairness.exact import exact_of
from kai_sched.fairness.ledger import Ledger
from kai_sched.fairness.shares import LeafUsage, divide_capacity
from kai_sched.fairness.tree import QueueTree
from kai_sched.model.queues import Queue, QuotaVector
from tests.builders import a_queue


def gpus(amount: float):
    return exact_of(QuotaVector(gpu=amount))


class Court:
    """Queues that hold so many GPUs, of ``total``; everybody wants more."""

    def __init__(self, *queues: Queue, total: float, held: dict[str, float], wants: dict[str, float]) -> None:
        self.tree = QueueTree.build(queues)
        usage = {
            name: LeafUsage(
                allocated=QuotaVector(gpu=held.get(name, 0)), pending=QuotaVector(gpu=wants.get(name, 0))
            )
            for name in self.tree.leaves
        }
        self.shares = divide_capacity(self.tree, usage, QuotaVector(gpu=total))
        self.ledger = Ledger.open(self.tree, self.shares)

    def taking(
        self, queue: str, request: float, *, is_preemptible: bool = True, multiplier: float = 1.0
    ) -> Taking:
        rights = Entitlement.of(self.tree, self.shares, multiplier)
        return Taking(rights, self.ledger, queue, gpus(request), is_preemptible=is_preemptible)  # type: ignore[arg-type]

    def may_reclaim(self, queue: str, request: float, *, is_preemptible: bool = True) -> bool:
        rights = Entitlement.of(self.tree, self.shares)
        return rights.may_reclaim(self.ledger, queue, gpus(request), is_preemptible=is_preemptible)  # type: ignore[arg-type]

    def taken(self, queue: str, request: float, holder: str, units: list[float], **more: float) -> int:
        """How many units are taken before one is refused."""
        taking = self.taking(queue, request, **more)  # type: ignore[arg-type]
        return next(
            (number for number, unit in enumerate(units) if not taking.take(holder, gpus(unit))),  # type: ignore[arg-type]
            len(units),
        )


def two_teams(a: float = 4, b: float = 4, held_b: float = 8, wants_a: float = 8) -> Court:
    return Court(
        a_queue("dept", parent=None),
        a_queue("a", gpu=a),
        a_queue("b", gpu=b),
        total=8,
        held={"b": held_b},
        wants={"a": wants_a, "b": 8},
    )


def test_a_queue_takes_back_up_to_its_fair_share():
    court = two_teams()

    assert court.may_reclaim("a", 4)
    assert not court.may_reclaim("a", 5)


def test_work_that_may_not_go_above_quota_takes_back_up_to_its_quota():
    court = two_teams(a=2, b=2)

    assert court.may_reclaim("a", 4)
    assert court.may_reclaim("a", 2, is_preemptible=False)
    assert not court.may_reclaim("a", 3, is_preemptible=False)


def test_units_are_taken_while_the_holder_is_above_its_share():
    court = two_teams()

    assert court.taken("a", 4, "b", [1] * 8) == 4
    assert court.taken("a", 4, "b", [3, 3]) == 2, "the last unit may bring it below: what counts is before"


def test_a_queue_within_its_quota_loses_nothing():
    assert two_teams(held_b=4).taken("a", 1, "b", [1]) == 0


def test_who_stays_within_quota_may_bring_the_holder_down_to_its_quota_though_not_above_its_share():
    """Quotas of 6 each on 8 GPUs: both are owed more than there is."""
    court = two_teams(a=6, b=6, held_b=8)

    assert court.taken("a", 2, "b", [1] * 8) == 2


@pytest.mark.parametrize(("queue", "is_asked"), [("b", True), ("a", False)])
def test_a_queue_asks_others_not_itself(queue: str, is_asked: bool):
    assert two_teams().taking("a", 1).may_ask(queue) is is_asked


def test_a_queue_that_is_not_there_is_not_asked():
    taking = two_teams().taking("a", 1)

    assert not taking.may_ask("nowhere")
    assert not taking.take("nowhere", gpus(1))


def departments(held: dict[str, float]) -> Court:
    return Court(
        a_queue("d1", parent=None, gpu=8),
        a_queue("d2", parent=None, gpu=8),
        a_queue("a", parent="d1", gpu=4),
        a_queue("c", parent="d1", gpu=4),
        a_queue("b", parent="d2", gpu=4),
        a_queue("d", parent="d2", gpu=4),
        total=16,
        held=held,
        wants={"a": 16, "b": 16, "c": 16, "d": 16},
    )


def test_departments_are_compared_not_their_teams():
    court = departments({"b": 8, "d": 0, "c": 4})

    assert court.taken("a", 2, "b", [1]) == 0, "d2 holds no more than its share, whoever of it holds it"


def test_a_sister_is_asked_within_the_department():
    court = departments({"b": 8, "c": 8})

    assert court.taking("a", 2).may_ask("c")
    assert not court.taking("a", 2).may_ask("b")
    assert court.taken("a", 2, "c", [1, 1]) == 2


def test_a_department_above_its_share_takes_nothing_from_one_that_uses_its_own_less():
    court = departments({"c": 10, "b": 6})

    assert not court.taking("a", 4).may_ask("b")


def test_a_multiplier_asks_the_taker_to_use_its_share_less_than_the_others():
    """Weights but no quotas: a's gang brings it above its share at no level, so that only the multiplier can refuse."""
    court = Court(
        a_queue("x", parent=None, gpu=0),
        a_queue("y", parent=None, gpu=0),
        a_queue("a", parent="x", gpu=0),
        a_queue("b", parent="y", gpu=0),
        total=8,
        held={"b": 8},
        wants={"a": 8, "b": 8},
    )

    assert court.taken("a", 4, "b", [1] * 8) == 4
    assert court.taken("a", 5, "b", [1]) == 1
    assert court.taken("a", 5, "b", [1], multiplier=2.0) == 0


def test_what_was_taken_can_be_given_back():
    taking = two_teams().taking("a", 4)
    mark = taking.mark()
    for _ in range(4):
        assert taking.take("b", gpus(1))
    assert not taking.take("b", gpus(1))

    taking.rollback(mark)

    assert taking.take("b", gpus(1))
