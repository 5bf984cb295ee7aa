"""The figures of benchmarks.controlplane come from the API server's own log and counters, pair by pair."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.controlplane.arena import Round, alternate
from benchmarks.controlplane.bindings import AuditLog
from benchmarks.controlplane.rivals import KubeScheduler, OurOperator, Rival
from benchmarks.controlplane.summary import document, ratios
from benchmarks.controlplane.traffic import writes_so_far


def a_line(second: float, code: int = 201, subresource: str = "binding") -> str:
    return json.dumps(
        {
            "objectRef": {"resource": "pods", "subresource": subresource},
            "responseStatus": {"code": code},
            "stageTimestamp": f"2026-01-01T00:00:{second:09.6f}Z",
        }
    )


def a_round(rival: str, seconds: float, **more: object) -> Round:
    plain = {
        "first_bind_seconds": 1.0,
        "refused_binds": 0,
        "scheduler_cpu_seconds": 1.0,
        "scheduler_mib": 1.0,
    }
    rest = {"apiserver_cpu_seconds": 1.0, "start_cpu_seconds": 1.0, "writes_per_pod": {}, "violations": ()}
    return Round(rival=rival, pods=100, seconds=seconds, **{**plain, **rest, **more})


def test_the_clock_runs_from_the_first_to_the_last_accepted_bind(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(f"{a_line(1)}\n")
    audit = AuditLog(log)
    with log.open("a") as file:
        file.write(
            f"{a_line(7.5)}\n{a_line(5)}\n{a_line(9, code=409)}\n{a_line(9.5, subresource='status')}\n"
        )

    bindings = audit.bindings()

    assert (len(bindings.at), bindings.seconds, bindings.refused) == (2, 2.5, 1)


def test_a_line_that_is_still_being_written_is_read_later(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    audit = AuditLog(log)
    assert audit.bindings().at == ()
    line = a_line(3)
    log.write_text(line[:20])
    assert audit.bindings().at == ()

    log.write_text(f"{line}\n")

    assert len(audit.bindings().at) == 1


class Metrics:
    """An API server that only tells its metrics."""

    def __init__(self, text: str) -> None:
        self.text = text

    def raw(self, _method: str, _path: str) -> bytes:
        return self.text.encode()


def test_writes_are_counted_by_verb_and_resource_heartbeats_aside() -> None:
    def sample(verb: str, resource: str, subresource: str, code: int, value: int) -> str:
        labels = f'code="{code}",resource="{resource}",subresource="{subresource}",verb="{verb}"'
        return f"apiserver_request_total{{{labels}}} {value}\n"

    text = (
        sample("POST", "pods", "binding", 201, 5)
        + sample("POST", "pods", "binding", 409, 1)
        + sample("PUT", "leases", "", 200, 70)
        + sample("GET", "pods", "", 200, 3)
        + sample("POST", "events", "", 201, 4)
    )

    assert writes_so_far(Metrics(text)) == {"POST pods/binding": 6, "POST events": 4}


def test_pairs_alternate_who_begins_and_the_first_pair_only_warms_up() -> None:
    order: list[str] = []
    told: list[str] = []

    def race(rival: Rival) -> Round:
        order.append(rival.name)
        return a_round(rival.name, 1.0)

    pairs = alternate(race, (KubeScheduler(), OurOperator()), 2, lambda one: told.append(one.rival))

    k, o = "kube-scheduler", "kai-sched"
    assert order == [k, o, o, k, k, o]
    assert [(one.rival, other.rival) for one, other in pairs] == [(k, o), (k, o)]
    assert told == [k, o, k, o]


def test_the_ratio_is_taken_within_each_pair() -> None:
    slow_hour = (a_round("k", 10.0), a_round("o", 5.0))
    fast_hour = (a_round("k", 2.0), a_round("o", 1.0))
    odd = (a_round("k", 4.0), a_round("o", 4.0, violations=("x",)))

    ratio = ratios([slow_hour, fast_hour, odd])

    assert (ratio.median, ratio.least, ratio.greatest) == pytest.approx((2.0, 1.0, 2.0))
    assert document([slow_hour, odd])["violations"] == ["x"]
    assert document([slow_hour])["pods_per_second"] == {"k": 10.0, "o": 20.0}
