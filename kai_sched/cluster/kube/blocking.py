"""Calls from code that has no event loop: the commands of the CLI."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from kai_sched.cluster.kube.client import KubeClient

T = TypeVar("T")


def with_client(
    action: Callable[[KubeClient], Awaitable[T]], kubeconfig: Path | None = None, context: str | None = None
) -> T:
    """Run ``action`` with a client that is closed afterwards."""

    async def run() -> T:
        async with await KubeClient.connect(kubeconfig, context) as client:
            return await action(client)

    return asyncio.run(run())
