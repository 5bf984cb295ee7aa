"""``python -m benchmarks.watch [--pods N] [--rounds N] [--json FILE]``: pod events into the mirror.

A history of pods (created, bound, run) is made on a real control plane, whose watch is recorded. The recorded bytes
are played, as fast as they are read, to our reflector and to a kopf handler in turn. Memory is what Python holds for
a pod in the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine, machine_line
from benchmarks.watch.recording import NAMESPACE, History, a_fleet, make_history
from kai_sched.localcluster import LocalCluster

GOAL_EVENTS_PER_SECOND = 10_000
GOAL_BYTES_PER_POD = 1_500


def measure(folder: Path, pods: int, rounds: int) -> dict[str, Any]:
    with LocalCluster(objects=a_fleet(pods)) as cluster:
        cluster.new_namespace(NAMESPACE)
        history = asyncio.run(make_history(cluster, pods))
        _save(history, folder)
    mirror, kopf = [], []
    with _played(folder) as kubeconfig:
        for _ in range(rounds):
            # In turn, so that a busy moment of the machine does not hit one of them only.
            mirror.append(_way("mirror", kubeconfig, folder))
            kopf.append(_way("kopf", kubeconfig, folder))
        memory = _way("memory", kubeconfig, folder)
    return {
        "machine": machine(),
        "pods": pods,
        "events": len(history.lines),
        "bytes_per_event": round(sum(map(len, history.lines)) / len(history.lines)),
        "mirror": _median(mirror),
        "kopf": _median(kopf),
        "memory": memory,
        "goals": {"events_per_second": GOAL_EVENTS_PER_SECOND, "bytes_per_pod": GOAL_BYTES_PER_POD},
    }


def _save(history: History, folder: Path) -> None:
    history.write(folder)
    (folder / "last.json").write_text(json.dumps(history.last_versions))


def _way(way: str, kubeconfig: Path, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.watch.ways", way, str(kubeconfig), str(folder)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise SystemExit(f"{way} failed:\n{answer.stderr[-3000:]}")
    figures: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return figures


@contextmanager
def _played(folder: Path) -> Iterator[Path]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.watch.replay", str(folder), str(port)]
    server = subprocess.Popen(command)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url)
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(json.dumps(_kubeconfig(url)))
        yield kubeconfig
    finally:
        server.terminate()
        server.wait()


def _wait_for(url: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(100):
        try:
            with opener.open(f"{url}/version"):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the replay server did not start")


def _kubeconfig(url: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "replay",
        "clusters": [{"name": "replay", "cluster": {"server": url}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "replay", "context": {"cluster": "replay", "user": "nobody"}}],
    }


def _median(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    names = [name for name in rounds[0] if isinstance(rounds[0][name], int | float)]
    figures: dict[str, Any] = {name: statistics.median(one[name] for one in rounds) for name in names}
    rates = [one["events_per_second"] for one in rounds]
    return {**figures, "rounds": len(rounds), "slowest": min(rates), "fastest": max(rates)}


def tell(report: dict[str, Any]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(machine_line(), highlight=False)
    console.print(
        f"{report['pods']} pods, {report['events']} events of {report['bytes_per_event']} bytes",
        highlight=False,
    )
    table = Table("WAY", "EVENTS/S", "SLOWEST", "FASTEST", "EVENTS/CPU S", "TO KOPF")
    base = report["kopf"]["events_per_second"]
    for title, name in (
        ("reflector into mirror", "mirror"),
        ("kopf event handler", "kopf"),
    ):
        part = report[name]
        table.add_row(
            title,
            *(
                f"{part[key]:,.0f}"
                for key in ("events_per_second", "slowest", "fastest", "events_per_cpu_second")
            ),
            f"{part['events_per_second'] / base:.1f} x",
        )
    console.print(table)
    held = report["memory"]["bytes_per_pod"]
    console.print(f"held for a pod: {held:,.0f} bytes (goal {GOAL_BYTES_PER_POD:,})", highlight=False)
    console.print(f"goal: {GOAL_EVENTS_PER_SECOND:,} events/s", highlight=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--pods", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = measure(Path(folder), arguments.pods, arguments.rounds)
    tell(report)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    is_fast = report["mirror"]["events_per_second"] >= GOAL_EVENTS_PER_SECOND
    is_small = report["memory"]["bytes_per_pod"] <= GOAL_BYTES_PER_POD
    return 0 if is_fast and is_small else 1


if __name__ == "__main__":
    sys.exit(main())
