"""Which policy holds: the shard's, the last good one, the defaults, or none."""

from __future__ import annotations

from kai_sched.api.settings import Settings
from kai_sched.model.policy import StageName
from kai_sched.operator.shard import ShardPolicy
from tests.documents import a_shard_document


def test_without_a_shard_the_defaults_hold_for_the_default_one_only():
    assert ShardPolicy(Settings()).current({}) is not None
    other = ShardPolicy(Settings(shard="big"))

    assert other.current({}) is None
    assert other.problem == "SchedulingShard big does not exist"


def test_a_shard_that_cannot_be_used_leaves_the_last_good_policy():
    shard = ShardPolicy(Settings())
    good = shard.current({"default": a_shard_document(kValue=3)})
    assert good is not None
    assert good.k_value == 3

    kept = shard.current({"default": a_shard_document(args={"no-such-knob": "1"})})

    assert kept == good
    assert shard.problem == "spec.args.no-such-knob: unknown key"
    assert shard.current({"default": a_shard_document()}) is not None
    assert shard.problem == ""


def test_a_shard_of_its_own_name_that_was_never_good_decides_nothing():
    shard = ShardPolicy(Settings(shard="big"))

    assert shard.current({"big": a_shard_document("big", args={"no-such-knob": "1"})}) is None


def test_only_stages_that_are_built_run_and_fractions_wait_for_who_realises_them():
    policy = ShardPolicy(Settings()).current({})

    assert policy is not None
    assert policy.stages == (StageName.ALLOCATE,)
    assert not policy.sharing_enabled
