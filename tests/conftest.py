"""Profiles of hypothesis and the place of the shared research data."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile(
    "ci",
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "nightly",
    max_examples=5000,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
"""New seeds each time, what failed first (``.hypothesis``): see ``make nightly``."""
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of conformance cases and traces; tests that need it skip where it is not there."""
    folder = Path(os.environ.get("KAI_SCHED_SHARED", "../shared")).resolve()
    if not (folder / "cases").is_dir():
        pytest.skip(f"no conformance data at {folder} (set KAI_SCHED_SHARED)")
    return folder
