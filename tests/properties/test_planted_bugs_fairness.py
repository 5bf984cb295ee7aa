"""Each law of fair sharing is broken by a bug put in on purpose: the laws are not idle.

The worlds are found by searching with the same strategies that the properties use.
"""

from fractions import Fraction

import pytest
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st

from kai_sched.fairness import division, ledger, ordering, shares, standing
from kai_sched.fairness.exact import Exact
from tests.properties import fairness_laws as laws
from tests.properties import fairness_worlds

SEARCH = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def is_caught(strategy, law) -> bool:
    """Whether some world breaks the law; raises NoSuchExample otherwise."""
    find(strategy, lambda drawn: bool(law(drawn)), settings=SEARCH)
    return True


@st.composite
def with_jobs(draw):
    world = draw(fairness_worlds.worlds())
    return world, draw(fairness_worlds.jobs_for(world, most=20))


@st.composite
def with_shuffle(draw):
    world = draw(fairness_worlds.rivals())
    return world, tuple(draw(st.permutations(world.queues)))


@st.composite
def with_jobs_and_shuffle(draw):
    world, shuffled = draw(with_shuffle())
    return world, draw(fairness_worlds.jobs_for(world)), shuffled


def test_rounding_up_is_caught_as_giving_more_than_there_is(monkeypatch):
    def hand_out_without_counting(remainders, left, whole):
        for _, claimant in remainders:
            claimant.share += whole
        return left

    monkeypatch.setattr(division, "hand_out", hand_out_without_counting)
    assert is_caught(fairness_worlds.worlds(), laws.shares_beyond_capacity)


def test_half_a_quota_is_caught_as_a_broken_guarantee(monkeypatch):
    def give_half(claimants):
        for claimant in claimants:
            claimant.share = min(claimant.deserved // 2, claimant.wanted)
        return sum(claimant.share for claimant in claimants)

    monkeypatch.setattr(division, "give_deserved", give_half)
    # The surplus hides the bug from queues with weight: so the law must look at every queue.
    assert is_caught(fairness_worlds.worlds(), laws.guarantees_broken)


def test_stopping_after_one_round_is_caught_as_wasted_surplus(monkeypatch):
    def one_round(group, left, whole, k_value):
        weights = {id(claimant): Fraction(claimant.weight) for claimant in group}
        total = sum(weights.values())
        for claimant in group:
            if total:
                given = min(claimant.wanted - claimant.share, int(left * weights[id(claimant)] / total))
                claimant.share += max(given, 0)
        return left - left, []

    monkeypatch.setattr(division, "share_surplus", one_round)
    assert is_caught(fairness_worlds.worlds(), laws.surplus_wasted)


def test_ignoring_priority_is_caught(monkeypatch):
    divide = division.divide

    def without_priority(claimants, room, **more):
        for claimant in claimants:
            claimant.priority = -claimant.priority
        divide(claimants, room, **more)

    monkeypatch.setattr(shares, "divide", without_priority)
    assert is_caught(fairness_worlds.rivals(), laws.priority_inverted)


def test_inverse_weights_are_caught(monkeypatch):
    class Inverse(division._Pull):
        def of(self, hungry):
            weights = super().of(hungry)
            return [max(weights) + 1 - weight if weight else 0 for weight in weights]

    monkeypatch.setattr(division, "_Pull", Inverse)
    assert is_caught(
        fairness_worlds.rivals(),
        lambda world: any(laws.weight_punished(world, name, 10.0) for name in world.tree.queues),
    )


def test_dividing_in_order_of_listing_is_caught(monkeypatch):
    def first_come(remainders, left, whole):
        for _, claimant in list(remainders)[::-1]:
            given = min(whole, max(left, 0))
            claimant.share += given
            left -= given
        return left

    monkeypatch.setattr(division, "hand_out", first_come)
    monkeypatch.setattr(division, "sorted", lambda items, key: items, raising=False)
    monkeypatch.setattr(laws.QueueTree, "build", staticmethod(_build_unsorted))
    assert is_caught(with_shuffle(), lambda drawn: laws.order_dependence(*drawn))


def _build_unsorted(queues, build=laws.QueueTree.build):
    queues = tuple(queues)
    tree = build(queues)
    place = {queue.name: index for index, queue in enumerate(queues)}

    def as_listed(names):
        return tuple(sorted(names, key=place.__getitem__))

    return laws.QueueTree(
        queues={name: tree.queues[name] for name in as_listed(tree.queues)},
        problems=tree.problems,
        roots=as_listed(tree.roots),
        children={name: as_listed(below) for name, below in tree.children.items()},
        leaves=tree.leaves,
        paths=tree.paths,
        kinds=tree.kinds,
    )


@pytest.mark.parametrize("check", ["over_limit", "non_preemptible_over_quota"])
def test_checking_the_leaf_only_is_caught_as_a_passed_bound(monkeypatch, check):
    whole_path = getattr(ledger.Ledger, check)

    def leaf_only(self, queue, request):
        breach = whole_path(self, queue, request)
        return breach if breach is not None and breach.queue == queue else None

    monkeypatch.setattr(ledger.Ledger, check, leaf_only)
    assert is_caught(with_jobs(), lambda drawn: laws.bounds_passed(*drawn))


def test_charging_the_leaf_only_is_caught_as_drift(monkeypatch):
    def leaf_only(self, queue, request, *, is_preemptible):
        self._allocated[queue] = ledger.add(self._allocated[queue], ledger.exact_of(request))
        self._journal.append(queue)

    monkeypatch.setattr(ledger.Ledger, "charge", leaf_only)
    assert is_caught(with_jobs(), lambda drawn: laws.account_drift(*drawn))


def test_floating_point_account_is_caught_as_drift(monkeypatch):
    def inexact(vector) -> Exact:
        return vector.gpu / 3, vector.cpu / 7, vector.memory / 11

    monkeypatch.setattr(ledger, "exact_of", inexact)
    assert is_caught(with_jobs(), lambda drawn: laws.account_drift(*drawn))


def test_losing_a_job_is_caught_as_disorder(monkeypatch):
    pop_many = ordering.ServiceOrder.pop_many
    monkeypatch.setattr(
        ordering.ServiceOrder, "pop_many", lambda self, count: pop_many(self, count + 1)[:count]
    )
    assert is_caught(with_jobs_and_shuffle(), lambda drawn: laws.service_disorder(*drawn))


def test_breaking_ties_by_order_of_listing_is_caught_as_disorder(monkeypatch):
    def rank_by_position(self):
        self.is_chain = True
        for index, node in enumerate(self.nodes):
            node.rank = (index,)

    monkeypatch.setattr(ordering._Group, "rank", rank_by_position)
    monkeypatch.setattr(laws.QueueTree, "build", staticmethod(_build_unsorted))
    assert is_caught(with_jobs_and_shuffle(), lambda drawn: laws.service_disorder(*drawn))


def test_runs_that_forget_the_siblings_are_caught(monkeypatch):
    monkeypatch.setattr(ordering.ServiceOrder, "run_length", lambda self: 0 if self.peek() is None else 2)
    assert is_caught(with_jobs(), lambda drawn: laws.runs_out_of_step(*drawn))


def test_runs_that_are_one_too_long_are_caught(monkeypatch):
    is_ahead = ordering._Node.is_ahead

    def lenient(self, allocated, request, other):
        return is_ahead(self, ordering.add(allocated, ordering.times(request, -1)), request, other)

    monkeypatch.setattr(ordering._Node, "is_ahead", lenient)
    assert is_caught(with_jobs(), lambda drawn: laws.runs_out_of_step(*drawn))


def test_forgetting_who_is_over_its_share_is_caught(monkeypatch):
    key = standing.Standing.key
    monkeypatch.setattr(
        standing.Standing, "key", lambda self, held, request: (False, *key(self, held, request)[1:])
    )
    assert is_caught(with_jobs(), lambda drawn: laws.worse_off_waited(*drawn))


def test_serving_without_looking_again_is_caught(monkeypatch):
    monkeypatch.setattr(ordering.Ledger, "touched_since", lambda self, position: [])
    monkeypatch.setattr(
        ordering.ServiceOrder,
        "pop_many",
        _pop_without_renewal,
    )
    assert is_caught(with_jobs(), lambda drawn: laws.worse_off_waited(*drawn))


def _pop_without_renewal(self, count):
    node = self._next_leaf()
    if node is None:
        return ()
    taken = tuple(node.jobs[node.served : node.served + count])
    node.served += len(taken)
    if node.served == len(node.jobs):
        self._outdated[node.name] = None
    return taken
