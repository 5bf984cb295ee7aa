"""``kai-sched dev``: clusters that outlive the command, are listed, and go without a trace."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kai_sched.cli.dev import app
from kai_sched.errors import ControlPlaneError
from kai_sched.localcluster.admin import AdminApi
from kai_sched.localcluster.binaries import CONTROL_PLANE, ensure
from kai_sched.localcluster.processes import recorded
from kai_sched.localcluster.providers import registry
from kai_sched.localcluster.recipe import Layout

FLEET = """
apiVersion: kai-sched.dev/v1alpha1
kind: Fleet
pools: [{name: few, count: 2, devices: [{profile: nvidia-h100}]}]
"""


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of this test's own, with the binaries that are there already."""
    binaries = ensure(CONTROL_PLANE)
    assets = tmp_path / "assets"
    assets.mkdir()
    for tool, path in binaries.items():
        (assets / tool.value).symlink_to(path)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "kai-sched"


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_up_status_down(own_cache: Path, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text(FLEET)
    copy = tmp_path / "copy" / "kubeconfig"
    try:
        said = run("up", "--name", "t", "--cluster", str(fleet), "--kubeconfig", str(copy))

        assert said.strip() == str(copy)
        api = AdminApi.from_kubeconfig(copy)
        assert [node["metadata"]["name"] for node in api.list("Node")] == ["few-0", "few-1"]
        assert len(api.list("ResourceSlice")) == 2
        (shown,) = json.loads(run("status", "-o", "json"))["clusters"]
        assert shown["name"] == "t"
        assert shown["running"] is True
        assert "running" in run("status")
        with pytest.raises(ControlPlaneError, match="runs already"):
            run("up", "--name", "t")
    finally:
        pids = [part.pid for part in recorded(Layout(own_cache / "clusters" / "t"))]
        run("down", "--all")
    assert len(pids) == 4
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert registry.known() == []


def test_a_cluster_with_a_dead_part_is_shown_broken_and_up_starts_it_anew(own_cache: Path) -> None:
    try:
        run("up", "--name", "t")
        etcd = recorded(Layout(own_cache / "clusters" / "t"))[0]
        os.kill(etcd.pid, 9)
        os.waitpid(etcd.pid, 0)
        assert "broken (etcd)" in run("status")

        run("up", "--name", "t")

        assert json.loads(run("status", "-o", "json"))["clusters"][0]["running"] is True
    finally:
        run("down", "--all")


def test_a_cluster_that_is_not_there_cannot_be_ended(own_cache: Path) -> None:
    with pytest.raises(ControlPlaneError, match=r"no cluster t \(there are: none\)"):
        run("down", "--name", "t")
