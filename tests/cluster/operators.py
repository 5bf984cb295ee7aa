"""Our operator as a process of its own, under the ServiceAccount and role of manifests/: fixtures and what tests ask it.

A test that takes ``operator`` finds one running; ``start_operator`` starts as many as it likes, with its own flags.
Whatever ran must have ended by itself when asked, and must never have been refused anything by the API server.
"""

from __future__ import annotations

import itertools
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from kai_sched.localcluster import LocalCluster

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"
READY_SECONDS = 40.0
STOP_SECONDS = 20.0
_numbers = itertools.count(1)

Document = dict[str, Any]
StartOperator = Callable[..., "RunningOperator"]


def manifest(name: str, namespace: str) -> list[Document]:
    """A file of manifests/, its own namespace (and what is named like it) replaced, as kustomize does it."""
    text = (MANIFESTS / name).read_text().replace("name: kai-sched", f"name: {namespace}")
    text = text.replace("namespace: kai-sched", f"namespace: {namespace}")
    return [document for document in yaml.safe_load_all(text) if document]


class RunningOperator:
    """One operator process."""

    def __init__(
        self,
        cluster: LocalCluster,
        namespace: str,
        *flags: str,
        environment: dict[str, str] | None = None,
        through: Callable[[Path], Path] | None = None,
    ) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.account = f"system:serviceaccount:{namespace}:{namespace}"
        self.may_be_refused = False
        """Set by a test that restarts the API server: while that reads its roles, it refuses everybody."""
        self.port = _free_port()
        self.log = cluster.folder / f"operator-{next(_numbers)}.log"
        kubeconfig = cluster.kubeconfig_for(namespace, namespace)
        if through is not None:
            kubeconfig = through(kubeconfig)
        command = [sys.executable, "-m", "kai_sched", "run", "--kubeconfig", str(kubeconfig)]
        command += ["--log-format", "json", "--log-level", "debug"]
        command += ["--metrics-port", str(self.port), "--health-port", str(self.port), *flags]
        with self.log.open("wb") as sink:
            self.process = subprocess.Popen(
                command, stdout=sink, stderr=subprocess.STDOUT, cwd=ROOT, env=environment
            )

    def wait_ready(self) -> RunningOperator:
        """Until its caches are filled."""
        self.wait_until(lambda: self.answer("/readyz")[0] == 200, "readiness", READY_SECONDS)
        return self

    def wait_leading(self) -> RunningOperator:
        """Until it decides."""
        self.wait_until(lambda: self.metric("kai_sched_is_leading") == 1.0, "leading", READY_SECONDS)
        return self

    def wait_until(self, is_so: Callable[[], bool], what: str = "it", seconds: float = 30.0) -> None:
        """Poll; the operator's last words are in the error."""
        deadline = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > deadline:
                pytest.fail(f"waited {seconds:.0f} s in vain for {what}; the operator said:\n{self.tail()}")
            if self.process.poll() is not None:
                pytest.fail(f"the operator ended ({self.process.returncode}):\n{self.tail()}")
            time.sleep(0.1)

    def answer(self, path: str) -> tuple[int, str]:
        """Status and text of its web server; status 0 if there is none."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str) -> float | None:
        """One sample by its name with labels, as the text format writes it; None if it is not there."""
        for line in self.answer("/metrics")[1].splitlines():
            sample, _, value = line.rpartition(" ")
            if sample == name:
                return float(value)
        return None

    def entries(self, event: str) -> list[Document]:
        """Log lines of one event."""
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and entry.get("event") == event:
                found.append(entry)
        return found

    def tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def calls(self) -> Counter[tuple[str, str, int]]:
        """(verb, resource or path, status) of every call it made, from the audit log."""
        return Counter(_call(entry) for entry in self.audited())

    def writes(self, *resources: str) -> list[tuple[str, str]]:
        """(verb, resource) of its writes that succeeded, in order; of these resources only, if any are named."""
        calls = (_call(entry) for entry in self.audited() if entry["verb"] not in {"get", "list", "watch"})
        return [
            (verb, resource)
            for verb, resource, status in calls
            if status < 300 and (not resources or resource in resources)
        ]

    def audited(self) -> Iterator[Document]:
        """Its entries of the audit log, oldest first."""
        log = self.cluster.audit_log
        for line in log.read_text().splitlines() if log.exists() else ():
            if self.account in line:
                entry = json.loads(line)
                if entry["user"]["username"] == self.account:
                    yield entry

    def children(self) -> list[int]:
        """The processes that it started: the one that decides, and its spare."""
        return [
            int(child)
            for task in Path(f"/proc/{self.process.pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]

    def stop(self) -> int:
        """SIGTERM; the exit code. Safe to call twice."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
                pytest.fail(f"the operator did not end within {STOP_SECONDS:.0f} s:\n{self.tail()}")
        return self.process.returncode

    def kill(self) -> None:
        """SIGKILL, as a crash of its machine would look. Safe to call twice."""
        self.process.kill()
        self.process.wait()


@pytest.fixture
def start_operator(cluster: LocalCluster) -> Iterator[StartOperator]:
    """Starts operators on ``cluster``: ``start_operator(*flags)`` returns when it is ready.

    Operators of one test share a ServiceAccount, and with it the Lease. ``on`` is another cluster to run on,
    ``ready=False`` does not wait, ``through`` changes its kubeconfig (``Proxy.kubeconfig``).
    """
    accounts: dict[int, str] = {}
    with ExitStack() as stack:
        running: list[RunningOperator] = []

        def start(
            *flags: str,
            on: LocalCluster | None = None,
            ready: bool = True,
            environment: dict[str, str] | None = None,
            through: Callable[[Path], Path] | None = None,
        ) -> RunningOperator:
            where = on or cluster
            if id(where) not in accounts:
                accounts[id(where)] = stack.enter_context(account(where))
            operator = RunningOperator(
                where, accounts[id(where)], *flags, environment=environment, through=through
            )
            stack.callback(operator.kill)
            running.append(operator)
            return operator.wait_ready() if ready else operator

        yield start
        codes = [operator.stop() for operator in running]
        judged = [operator for operator in running if not operator.may_be_refused]
        refused = {call for operator in judged for call in operator.calls() if call[2] == 403}

    assert sorted(refused) == []
    for code, operator in zip(codes, running, strict=True):
        if code not in {0, -signal.SIGKILL}:
            pytest.fail(f"an operator ended with {code}; it said:\n{operator.tail()}")


@pytest.fixture
def operator(start_operator: StartOperator) -> RunningOperator:
    """An operator that decides."""
    return start_operator().wait_leading()


@contextmanager
def account(cluster: LocalCluster) -> Iterator[str]:
    """A namespace of its own with the role of manifests/ in it, and the priority classes."""
    namespace = f"kai-sched-{next(_numbers)}"
    cluster.new_namespace(namespace)
    for name in ("rbac.yaml", "priority-classes.yaml"):
        for document in manifest(name, namespace):
            cluster.api.apply(document)
    try:
        yield namespace
    finally:
        if cluster.alive():
            cluster.api.delete("ClusterRoleBinding", namespace)
            cluster.api.delete("ClusterRole", namespace)


def _call(entry: Document) -> tuple[str, str, int]:
    about = entry.get("objectRef") or {}
    resource = about.get("resource") or entry["requestURI"].partition("?")[0]
    if about.get("subresource"):
        resource += f"/{about['subresource']}"
    return entry["verb"], resource, int((entry.get("responseStatus") or {}).get("code") or 0)


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])
