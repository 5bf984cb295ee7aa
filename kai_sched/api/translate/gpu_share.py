"""KAI's annotations for a part of a GPU, with KAI's rules on what they may say together.

The annotations: ``gpu-fraction`` (a portion of one GPU's memory) or ``gpu-memory`` (MiB), ``gpu-fraction-num-devices``
(the same part of several GPUs), ``mps``. A wrong one makes the pod a problem, never a pod that takes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from fractions import Fraction
from typing import Final

from kai_sched.api.keys import (
    GPU_FRACTION,
    GPU_FRACTION_CONTAINER,
    GPU_FRACTION_DEVICES,
    GPU_MEMORY,
    MPS,
    WHOLE_GPU,
)
from kai_sched.model.workloads import GpuShare

SHARE_ANNOTATIONS: Final = (GPU_FRACTION, GPU_MEMORY, GPU_FRACTION_DEVICES, GPU_FRACTION_CONTAINER, MPS)
_DECIMAL: Final = re.compile(r"\+?(\d{1,100}\.?\d{0,100}|\.\d{1,100})([eE][+-]?\d{1,2})?", re.ASCII)
_COUNT: Final = re.compile(r"\d{1,15}", re.ASCII)
_MICROS: Final = 1_000_000


def gpu_share_of(annotations: Mapping[str, object], whole_gpus: int) -> tuple[GpuShare | None, str]:
    """The share asked for and, where the annotations are wrong, why ("" if fine)."""
    problem = _contradiction(annotations, whole_gpus)
    if problem or (GPU_FRACTION not in annotations and GPU_MEMORY not in annotations):
        return None, problem
    count = _whole(annotations.get(GPU_FRACTION_DEVICES, "1"))
    if count is None:
        return None, _problem(GPU_FRACTION_DEVICES, "must be a whole number above 0")
    if GPU_FRACTION in annotations:
        portion = _portion(annotations[GPU_FRACTION])
        if portion is None:
            return None, _problem(GPU_FRACTION, "must be a number between 0 and 1, both excluded")
        return GpuShare(portion_micros=portion, devices=count, mps=_asks_mps(annotations)), ""
    mib = _whole(annotations[GPU_MEMORY])
    if mib is None:
        return None, _problem(GPU_MEMORY, "must be a whole number of MiB above 0")
    return GpuShare(memory_mib=mib, devices=count), ""


def lost_container(annotations: Mapping[str, object], containers: Collection[str]) -> str:
    """What is wrong where the share is for a container that the pod does not have; "" if it has it."""
    wanted = annotations.get(GPU_FRACTION_CONTAINER)
    if (
        wanted is None
        or wanted in containers
        or not (GPU_FRACTION in annotations or GPU_MEMORY in annotations)
    ):
        return ""
    return _problem(GPU_FRACTION_CONTAINER, f"there is no container {wanted!r}, only {', '.join(containers)}")


def _contradiction(annotations: Mapping[str, object], whole_gpus: int) -> str:
    """What may not be said together; "" if nothing is."""
    asked = [name for name in (GPU_FRACTION, GPU_MEMORY) if name in annotations]
    if not asked and GPU_FRACTION_DEVICES in annotations:
        return _problem(GPU_FRACTION_DEVICES, f"needs {GPU_FRACTION} or {GPU_MEMORY}")
    if len(asked) > 1:
        return _problem(GPU_FRACTION, f"excludes annotation {GPU_MEMORY}")
    if asked and whole_gpus:
        return _problem(asked[0], f"excludes a limit of {WHOLE_GPU}")
    if _asks_mps(annotations) and GPU_FRACTION not in asked:
        return _problem(MPS, f"needs {GPU_FRACTION}")
    return ""


def _asks_mps(annotations: Mapping[str, object]) -> bool:
    return annotations.get(MPS) == "true"


def _portion(value: object) -> int | None:
    """Millionths, rounded down so that parts that make one GPU on paper fit on it."""
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        return None
    exact = Fraction(
        value.rstrip(".") if value.endswith(".") else value.replace(".e", "e").replace(".E", "E")
    )
    if not 0 < exact < 1:
        return None
    return max(1, exact.numerator * _MICROS // exact.denominator)


def _whole(value: object) -> int | None:
    if not isinstance(value, str) or not _COUNT.fullmatch(value):
        return None
    return int(value) or None


def _problem(annotation: str, reason: str) -> str:
    return f"metadata.annotations[{annotation}]: {reason}"
