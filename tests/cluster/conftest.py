"""One real control plane for all tests of this folder, emptied after each; private ones for tests that break theirs.

Whatever control plane a test uses, a conformance watcher looks on and must have seen no violation in the end. A test
that plants violations says so with the mark ``plants_violations``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from kai_sched.localcluster import Audit, LocalCluster
from kai_sched.localcluster.conformance import ConformanceWatcher
from kai_sched.localcluster.wipe import wipe
from tests.cluster.operators import operator, start_operator  # noqa: F401 — fixtures
from tests.cluster.proxy import Proxy, proxy_to

CRDS = Path(__file__).parents[2] / "crds"
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder needs the control plane."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def control_plane() -> Iterator[LocalCluster]:
    """The control plane itself, started once with our CRDs. Tests use ``cluster``."""
    crds = CRDS if CRDS.is_dir() else None
    with LocalCluster(crds=crds, audit=Audit.REQUESTS) as running:
        yield running


@contextmanager
def _judged(cluster: LocalCluster, request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails the test in the end if a pod or claim got there what it should not have."""
    if request.node.get_closest_marker("plants_violations"):
        yield
        return
    with ConformanceWatcher(cluster) as watcher:
        yield
        watcher.assert_clean()


@pytest.fixture
def cluster(control_plane: LocalCluster, request: pytest.FixtureRequest) -> Iterator[LocalCluster]:
    """An empty cluster: no nodes, pods, queues ... and whatever the test leaves behind is removed."""
    try:
        with _judged(control_plane, request):
            yield control_plane
    finally:
        wipe(control_plane.api)


@pytest.fixture
def namespace(cluster: LocalCluster) -> str:
    """A new namespace, ready for pods."""
    name = f"team-{next(_numbers)}"
    cluster.new_namespace(name)
    return name


@pytest.fixture
def start_cluster(request: pytest.FixtureRequest) -> Iterator[Callable[..., LocalCluster]]:
    """Starts private control planes (arguments as ``LocalCluster``, and an older ``release``), for tests that kill parts of them.

    They must be alive at the end of the test, to be judged.
    """
    with ExitStack() as stack:

        def start(*, release: str = "", **options: Any) -> LocalCluster:
            crds = CRDS if CRDS.is_dir() else None
            made = LocalCluster(**{"crds": crds, **options}).emulating(release)
            started = stack.enter_context(made)
            stack.enter_context(_judged(started, request))
            return started

        yield start


@pytest.fixture
def proxy(cluster: LocalCluster) -> Iterator[Proxy]:
    """A proxy on ``cluster`` for one operator: ``start_operator(through=proxy.kubeconfig)``."""
    with proxy_to(cluster) as running:
        yield running
