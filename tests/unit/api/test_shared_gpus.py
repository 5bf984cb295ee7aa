"""Labels that claim a part of a GPU count only where somebody holds that GPU."""

from __future__ import annotations

from kai_sched.api.shared_gpus import with_held_groups
from kai_sched.model.workloads import GpuShare, Pod
from tests.builders import GPU, a_pod, a_spec

TINY = a_spec(gpus=0, gpu_share=GpuShare(portion_micros=10_000))
PAIR = a_spec(gpus=0, gpu_share=GpuShare(portion_micros=10_000, devices=2))


def _groups(*pods: Pod) -> dict[str, tuple[str, ...]]:
    return {pod.key.partition("/")[2]: pod.gpu_groups for pod in with_held_groups(pods, (GPU,))}


def _theirs(name: str, spec=TINY, groups=("g",), node="n1") -> Pod:
    return a_pod(name, spec, group=None, node=node, gpu_groups=groups)


def _ours(name: str, spec=TINY, groups=("g",), node="n1") -> Pod:
    return a_pod(name, spec, node=node, gpu_groups=groups)


def test_a_label_of_another_schedulers_pod_takes_no_gpu() -> None:
    assert _groups(*(_theirs(f"p{number}", groups=(f"g{number}",)) for number in range(3))) == {
        "p0": (),
        "p1": (),
        "p2": (),
    }


def test_beside_a_reservation_pod_or_one_of_ours_it_counts() -> None:
    for holder in (_theirs("holder", a_spec(gpus=1)), _ours("holder")):
        assert _groups(holder, _theirs("p")) == {"holder": ("g",), "p": ("g",)}


def test_a_group_is_held_on_its_own_node_only() -> None:
    assert _groups(_theirs("holder", a_spec(gpus=1), node="n2"), _theirs("p")) == {"holder": ("g",), "p": ()}


def test_a_pod_holds_as_many_groups_as_it_asks_for() -> None:
    many = ("a", "b", "c")

    assert _groups(_ours("one", groups=many), _ours("two", PAIR, groups=many)) == {
        "one": ("a",),
        "two": ("a", "b"),
    }
    assert _groups(_theirs("holder", a_spec(gpus=2), groups=many)) == {"holder": ()}


def test_who_asks_for_no_part_or_for_whole_gpus_of_its_own_reserves_nothing_by_a_label() -> None:
    assert _groups(
        _ours("cpu", a_spec(gpus=0)), _ours("whole", a_spec(gpus=1)), _theirs("other", a_spec(gpus=0))
    ) == {
        "cpu": (),
        "whole": (),
        "other": (),
    }
