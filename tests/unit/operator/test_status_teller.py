"""A status is written when the object does not say it, and never because others say the same in other words."""

from __future__ import annotations

from typing import Any

import pytest

from kai_sched.cluster.kube.resources import QUEUES
from kai_sched.model.ids import PodGroupKey
from kai_sched.model.workloads import PodState
from tests.builders import a_pod
from tests.unit.operator.stage import GANG, ROOT, SHARD, WAITS, Stage

Document = dict[str, Any]


async def test_what_pods_hold_and_ask_for_is_told_with_the_verdict_in_one_write(stage: Stage):
    stage.verdicts = (WAITS,)

    written = await stage.cycle()

    assert written.count(GANG) == 1
    assert stage.status(GANG)["resourcesStatus"] == {
        "requested": {"cpu": "3", "memory": "3Gi", "nvidia.com/gpu": "3"}
    }
    assert await stage.cycle(60.0) == []


async def test_a_burst_of_binds_is_told_as_it_begins_and_when_it_is_over(stage: Stage):
    await stage.settle()

    written = []
    for step in range(12):
        stage.bind(1 + step // 4)
        written += await stage.cycle(0.5)
    assert written.count(GANG) == 1
    written += await stage.cycle(20.0)

    assert written.count(GANG) == 2
    assert stage.status(GANG)["resourcesStatus"]["allocated"] == {
        "cpu": "3",
        "memory": "3Gi",
        "nvidia.com/gpu": "3",
    }


async def test_a_change_is_told_though_its_own_cycle_found_no_plan(stage: Stage):
    await stage.settle()
    stage.bind(3)
    stage.narrator.note_changed([PodGroupKey("team/g")])

    written = await stage.cycle(20.0, has_changed=False)

    assert written.count(GANG) == 1
    assert "allocated" in stage.status(GANG)["resourcesStatus"]


async def test_a_change_whose_write_was_refused_is_told_by_a_later_cycle(stage: Stage):
    await stage.settle()
    stage.bind(3)
    stage.api.refusals = 1
    assert GANG not in await stage.cycle(20.0)

    written = await stage.cycle(20.0, has_changed=False)

    assert written.count(GANG) == 1
    assert "allocated" in stage.status(GANG)["resourcesStatus"]
    assert await stage.cycle(20.0, has_changed=False) == []


async def test_what_is_held_no_more_leaves_the_list(stage: Stage):
    stage.bind(3)
    await stage.settle()
    stage.pods = [pod for pod in stage.pods if pod.key == "team/none"]

    await stage.settle()

    assert stage.status(GANG)["resourcesStatus"] == {}


@pytest.mark.parametrize(
    "theirs",
    [
        {"requested": {"cpu": "3000m", "memory": "3072Mi", "nvidia.com/gpu": 3}},
        {"requested": {"cpu": "3", "memory": "1Gi", "nvidia.com/gpu": "3"}},
        {"requested": {"cpu": "3", "memory": "3Gi", "nvidia.com/gpu": "3", "example.com/nic": "1"}},
        {"requested": {"cpu": "nonsense"}},
        {},
    ],
    ids=["the same in other words", "another amount", "one more", "no quantity", "nothing"],
)
async def test_what_a_controller_of_kai_says_otherwise_starts_no_fight(stage: Stage, theirs: Document):
    await stage.settle()

    written = []
    for _ in range(5):
        stage.overwrite(GANG, resourcesStatus=theirs)
        written += await stage.cycle(20.0)

    assert written == []
    assert stage.status(GANG)["resourcesStatus"] == theirs


async def test_a_controller_that_answers_every_write_gets_one_write_a_change(stage: Stage):
    theirs = {"requested": {"cpu": "9", "example.com/nic": "1"}}
    await stage.settle()

    written = []
    for count in (1, 1, 2, 2, 2):
        stage.bind(count)
        for _ in range(3):
            written += await stage.cycle(20.0)
            stage.overwrite(GANG, resourcesStatus=theirs)

    assert written.count(GANG) == 2


async def test_amounts_of_queues_start_no_fight_either(stage: Stage):
    await stage.settle()
    stage.overwrite(ROOT, allocated={"nvidia.com/gpu": "250m"})

    assert [path for _ in range(3) for path in await stage.cycle(20.0)] == []


async def test_a_verdict_that_somebody_wrote_over_is_written_again(stage: Stage):
    stage.verdicts = (WAITS,)
    await stage.settle()
    stage.overwrite(GANG, schedulingConditions=[], resourcesStatus={"requested": {"cpu": "9"}})

    assert GANG in await stage.cycle(20.0)

    assert len(stage.status(GANG)["schedulingConditions"]) == 1
    assert stage.status(GANG)["resourcesStatus"]["requested"]["cpu"] == "3"


async def test_what_the_api_server_does_not_keep_is_said_once(stage: Stage):
    stage.api.is_ours = False
    stage.verdicts = (WAITS,)

    await stage.settle()

    assert [stage.pruned(path) for path in (ROOT, QUEUES.item("team-a"), GANG)] == ["True", None, None]
    condition = stage.status(ROOT)["conditions"][-1]
    assert condition["reason"] == "OtherDefinitions"
    assert "podgroups.scheduling.run.ai and queues.scheduling.run.ai" in condition["message"]
    assert "`kai-sched crds apply`" in condition["message"]
    assert stage.api.writes.count(QUEUES.item("team-a")) == 1


async def test_a_shard_says_it_where_there_is_one(stage: Stage):
    stage.api.is_ours = False
    stage.api.add(SHARD, "default")
    stage.has_shard = True

    await stage.settle()

    assert [stage.pruned(path) for path in (SHARD, ROOT)] == ["True", None]


async def test_a_shard_that_comes_later_takes_it_over(stage: Stage):
    stage.api.is_ours = False
    await stage.settle()
    stage.api.add(SHARD, "default")
    stage.has_shard = True

    await stage.settle()

    assert [stage.pruned(path) for path in (SHARD, ROOT)] == ["True", None]


async def test_our_own_definitions_say_nothing_about_it(stage: Stage):
    stage.verdicts = (WAITS,)

    await stage.settle()

    assert stage.pruned(ROOT) is None
    assert stage.status(GANG)["kaiSched"]["blocker"] == "Capacity"


async def test_what_only_our_part_would_say_is_not_written_where_it_is_pruned(stage: Stage):
    stage.api.is_ours = False
    await stage.settle()
    stage.pods = [a_pod("p0", group="g")]
    await stage.settle()
    stage.pods = [a_pod("p0", group="g", state=PodState.GATED)]

    assert await stage.cycle(20.0) == []


async def test_definitions_that_were_replaced_take_it_back_and_every_object_is_told(stage: Stage):
    stage.api.is_ours = False
    stage.verdicts = (WAITS,)
    await stage.settle()
    stage.api.is_ours = True
    # The next thing to say shows it.
    stage.verdicts = ()
    stage.bind(3)

    await stage.settle()

    assert stage.pruned(ROOT) == "False"
    assert all("kaiSched" in stage.status(path) for path in (GANG, ROOT, QUEUES.item("team-a")))
