"""Which policy holds: the shard's, the last good one, the defaults, or none."""

from __future__ import annotations

import pytest

from kai_sched.api.settings import Settings
from kai_sched.model.policy import StageName
from kai_sched.operator.object_status import shard_status
from kai_sched.operator.shard import ShardPolicy
from tests.builders import NOW
from tests.documents import a_shard_document


def test_without_a_shard_the_defaults_hold_for_the_default_one_only():
    assert ShardPolicy(Settings()).current({}) is not None
    other = ShardPolicy(Settings(shard="big"))

    assert other.current({}) is None
    assert other.problem == "SchedulingShard big does not exist"


POOL_A = {"partitionLabelValue": "pool-a", "placementStrategy": {"gpu": "spread", "cpu": "spread"}}


@pytest.mark.parametrize(
    ("more", "remark", "problem"),
    [
        (
            {"usageDBConfig": {"clientType": "prometheus"}},
            "spec.usageDBConfig: time-based fair share is not supported yet",
            "",
        ),
        ({"args": {"no-such-knob": "1"}}, "spec.args.no-such-knob: unknown key", ""),
        ({"plugins": {"mine": {"enabled": True}}}, "spec.plugins.mine: unknown plugin", ""),
        (
            {"args": {"qps": "50"}, "goMemLimit": "1Gi"},
            "without effect here: spec.goMemLimit, spec.args.qps",
            "",
        ),
        ({"kValue": -1}, "", "spec.kValue: must be at least 0, is -1"),
        ({"kaiSched": "fast"}, "", "spec.kaiSched: must be an object, is a string"),
    ],
)
@pytest.mark.parametrize("is_restarted", [True, False])
def test_a_key_that_cannot_be_served_leaves_the_rest_in_force(more, remark, problem, is_restarted):
    shard = ShardPolicy(Settings())
    if not is_restarted:
        shard.current({"default": a_shard_document(**POOL_A)})

    policy = shard.current({"default": a_shard_document(**POOL_A, **more)})

    assert policy == ShardPolicy(Settings()).current({"default": a_shard_document(**POOL_A)})
    assert policy is not None
    assert policy.partition_value == "pool-a"
    assert (shard.remarks, shard.problem) == ((remark,) if remark else (), problem)
    assert shard.current({"default": a_shard_document()}) is not None
    assert (shard.remarks, shard.problem) == ((), "")


@pytest.mark.parametrize(
    "spec", [{"partitionLabelValue": 7}, {"args": "none"}, {"args": {"nodepool-label-key": ""}}], ids=str
)
def test_where_nobody_can_say_which_nodes_it_is_for_nothing_new_is_decided(spec):
    fresh, running = ShardPolicy(Settings()), ShardPolicy(Settings())
    before = running.current({"default": a_shard_document(**POOL_A)})

    assert fresh.current({"default": a_shard_document(**spec)}) is None
    assert running.current({"default": a_shard_document(**spec)}) == before
    assert fresh.problem.startswith("spec.")


def test_the_shard_says_what_is_left_out_and_takes_it_back():
    told = shard_status("", ("spec.usageDBConfig: not supported yet",), {}, NOW)["conditions"]
    assert [(one["type"], one["status"], one["message"]) for one in told] == [
        (
            "KeysNotServed",
            "True",
            "spec.usageDBConfig: not supported yet. The rest of the shard is in force",
        )
    ]

    taken_back = shard_status("", (), {"conditions": told}, NOW)["conditions"]

    assert [(one["type"], one["status"]) for one in taken_back] == [("KeysNotServed", "False")]


def test_only_stages_that_are_built_run_and_fractions_wait_for_who_realises_them():
    policy = ShardPolicy(Settings()).current({})

    assert policy is not None
    assert policy.stages == (StageName.ALLOCATE,)
    assert not policy.sharing_enabled
