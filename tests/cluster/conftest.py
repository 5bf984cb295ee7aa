"""One real control plane for all tests of this folder, emptied after each; private ones for tests that break theirs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from kai_sched.localcluster import Audit, LocalCluster
from kai_sched.localcluster.wipe import wipe

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


@pytest.fixture
def cluster(control_plane: LocalCluster) -> Iterator[LocalCluster]:
    """An empty cluster: no nodes, pods, queues ... and whatever the test leaves behind is removed."""
    yield control_plane
    wipe(control_plane.api)


@pytest.fixture
def namespace(cluster: LocalCluster) -> str:
    """A new namespace, ready for pods."""
    name = f"team-{next(_numbers)}"
    cluster.new_namespace(name)
    return name


@pytest.fixture
def start_cluster() -> Iterator[Callable[..., LocalCluster]]:
    """Starts private control planes (arguments as ``LocalCluster``), for tests that kill parts of them."""
    with ExitStack() as stack:

        def start(**options: Any) -> LocalCluster:
            crds = CRDS if CRDS.is_dir() else None
            return stack.enter_context(LocalCluster(**{"crds": crds, **options}))

        yield start
