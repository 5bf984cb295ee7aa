"""The laws of fair sharing hold on random queue trees."""

from hypothesis import given
from hypothesis import strategies as st

from tests.properties import fairness_laws as laws
from tests.properties import fairness_worlds

WORLDS = st.one_of(fairness_worlds.worlds(), fairness_worlds.worlds(), fairness_worlds.rivals())


@given(WORLDS)
def test_siblings_get_no_more_than_there_is(world):
    assert laws.shares_beyond_capacity(world) == []


@given(WORLDS)
def test_every_queue_gets_its_quota_as_far_as_it_asks(world):
    assert laws.guarantees_broken(world) == []


@given(WORLDS)
def test_no_surplus_is_left_while_a_weighted_queue_wants_it(world):
    assert laws.surplus_wasted(world) == []


@given(WORLDS)
def test_surplus_goes_by_priority(world):
    assert laws.priority_inverted(world) == []


@given(WORLDS, st.data(), st.sampled_from([1.5, 2.0, 10.0]))
def test_higher_weight_never_lowers_a_share(world, data, factor):
    name = data.draw(st.sampled_from(sorted(world.tree.queues)))
    assert laws.weight_punished(world, name, factor) == []


@given(WORLDS, st.data())
def test_shares_do_not_depend_on_the_order_of_listing(world, data):
    shuffled = tuple(data.draw(st.permutations(world.queues)))
    assert laws.order_dependence(world, shuffled) == []


@given(WORLDS, st.data())
def test_limits_and_quotas_hold_at_every_ancestor(world, data):
    assert laws.bounds_passed(world, data.draw(fairness_worlds.jobs_for(world, most=20))) == []


@given(WORLDS, st.data())
def test_account_adds_up_and_gives_back_exactly(world, data):
    assert laws.account_drift(world, data.draw(fairness_worlds.jobs_for(world))) == []


@given(WORLDS, st.data())
def test_order_of_service_is_total_and_deterministic(world, data):
    jobs = data.draw(fairness_worlds.jobs_for(world))
    shuffled = tuple(data.draw(st.permutations(world.queues)))
    assert laws.service_disorder(world, jobs, shuffled) == []


@given(WORLDS, st.data())
def test_popping_by_runs_is_popping_one_by_one(world, data):
    assert laws.runs_out_of_step(world, data.draw(fairness_worlds.jobs_for(world, most=20))) == []


@given(WORLDS, st.data())
def test_queue_above_its_share_never_goes_before_one_that_is_not(world, data):
    assert laws.worse_off_waited(world, data.draw(fairness_worlds.jobs_for(world))) == []
