"""What the API server had to do, by its own metrics: writes by resource; and the CPU time of processes."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

from kai_sched.localcluster.admin import AdminApi

_SAMPLE = re.compile(r"^apiserver_request_total\{(?P<labels>.*)\} (?P<value>\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_WRITES = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE"})
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def writes_so_far(api: AdminApi) -> Counter[str]:
    """Writes since the API server started, refused ones too: ``POST pods/binding`` -> how many.

    Without heartbeats: Leases are written all the time, by kubelets above all.
    """
    counts: Counter[str] = Counter()
    for match in _SAMPLE.finditer(api.raw("GET", "/metrics").decode()):
        labels = dict(_LABEL.findall(match["labels"]))
        if labels["verb"] in _WRITES and labels["resource"] != "leases":
            place = "/".join(part for part in (labels["resource"], labels["subresource"]) if part)
            counts[f"{labels['verb']} {place}"] += int(float(match["value"]))
    return counts


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of its living children (a scheduler may decide in one)."""
    return sum(_own_cpu_seconds(one) for one in (pid, *_children(pid)))


def memory_mib(pid: int) -> float:
    """Resident memory, children included."""
    pages = sum(_resident_pages(one) for one in (pid, *_children(pid)))
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _own_cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def _resident_pages(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
