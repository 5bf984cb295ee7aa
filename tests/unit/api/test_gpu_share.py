"""KAI's annotations for parts of GPUs."""

from __future__ import annotations

import pytest

from kai_sched.api.translate.gpu_share import gpu_share_of
from kai_sched.model.workloads import GpuShare


@pytest.mark.parametrize(
    ("annotations", "share"),
    [
        ({}, None),
        ({"gpu-fraction": "0.5"}, GpuShare(portion_micros=500_000)),
        ({"gpu-fraction": ".25"}, GpuShare(portion_micros=250_000)),
        ({"gpu-fraction": "5e-1"}, GpuShare(portion_micros=500_000)),
        ({"gpu-fraction": "0.3333"}, GpuShare(portion_micros=333_300)),
        ({"gpu-fraction": "0.14285714"}, GpuShare(portion_micros=142_857)),
        ({"gpu-fraction": "0.0000001"}, GpuShare(portion_micros=1)),
        ({"gpu-fraction": "0.9999"}, GpuShare(portion_micros=999_900)),
        ({"gpu-fraction": "0.5", "mps": "true"}, GpuShare(portion_micros=500_000, mps=True)),
        ({"gpu-fraction": "0.5", "mps": "false"}, GpuShare(portion_micros=500_000)),
        (
            {"gpu-fraction": "0.5", "gpu-fraction-num-devices": "2"},
            GpuShare(portion_micros=500_000, devices=2),
        ),
        ({"gpu-memory": "2000"}, GpuShare(memory_mib=2000)),
        ({"gpu-memory": "2000", "gpu-fraction-num-devices": "4"}, GpuShare(memory_mib=2000, devices=4)),
        ({"mps": "false"}, None),
    ],
)
def test_a_right_share_is_read(annotations: dict[str, str], share: GpuShare | None) -> None:
    assert gpu_share_of(annotations, 0) == (share, "")


@pytest.mark.parametrize(
    ("annotations", "whole_gpus", "problem"),
    [
        ({"gpu-fraction": "0"}, 0, "gpu-fraction"),
        ({"gpu-fraction": "1"}, 0, "gpu-fraction"),
        ({"gpu-fraction": "-0.5"}, 0, "gpu-fraction"),
        ({"gpu-fraction": "1/2"}, 0, "gpu-fraction"),
        ({"gpu-fraction": "half"}, 0, "gpu-fraction"),
        ({"gpu-memory": "0"}, 0, "gpu-memory"),
        ({"gpu-memory": "1.5"}, 0, "gpu-memory"),
        ({"gpu-memory": "2Gi"}, 0, "gpu-memory"),
        ({"gpu-fraction": "0.5", "gpu-memory": "10"}, 0, "gpu-fraction"),
        ({"gpu-fraction": "0.5"}, 1, "gpu-fraction"),
        ({"gpu-memory": "10"}, 1, "gpu-memory"),
        ({"gpu-fraction-num-devices": "2"}, 0, "gpu-fraction-num-devices"),
        ({"gpu-fraction": "0.5", "gpu-fraction-num-devices": "0"}, 0, "gpu-fraction-num-devices"),
        ({"mps": "true"}, 0, "mps"),
        ({"gpu-memory": "10", "mps": "true"}, 0, "mps"),
    ],
)
def test_a_wrong_share_names_the_annotation(
    annotations: dict[str, str], whole_gpus: int, problem: str
) -> None:
    share, text = gpu_share_of(annotations, whole_gpus)

    assert share is None
    assert text.startswith(f"metadata.annotations[{problem}]: ")
