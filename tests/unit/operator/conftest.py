"""The stage on which telling is tried."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.operator.stage import Stage


@pytest.fixture
async def stage():
    stage = Stage()
    writer = asyncio.create_task(stage.publisher._write())
    yield stage
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)
