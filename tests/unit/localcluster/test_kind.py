"""The kind provider calls kind as kind wants to be called, and says clearly what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from kai_sched.errors import ControlPlaneError
from kai_sched.localcluster.providers import registry
from kai_sched.localcluster.providers.kind import KindProvider, check_docker, kind_config
from kai_sched.localcluster.providers.ports import ProviderName, Record, Wish

Script = Callable[[str, str], Path]

KUBECONFIG = {
    "clusters": [
        {
            "name": "kind-kai-sched-t",
            "cluster": {"server": "https://127.0.0.1:1", "certificate-authority-data": "Y2E="},
        }
    ],
    "users": [
        {
            "name": "kind-kai-sched-t",
            "user": {"client-certificate-data": "Y2VydA==", "client-key-data": "a2V5"},
        }
    ],
    "contexts": [{"name": "kind-kai-sched-t", "context": {}}],
}


@pytest.fixture
def recorded(cache: Path, on_path: Script, tmp_path: Path) -> Path:
    """A kind, docker and kwok that only write down how they are called."""
    log = tmp_path / "calls"
    on_path("docker", "echo 28.2.2")
    on_path(
        "kwok",
        f'[ "$1" = --version ] && echo "kwok version v0.8.0" && exit\necho kwok "$@" >> {log}\nwhile :; do sleep 0.1; done',
    )
    on_path(
        "kind",
        f"""
[ "$1" = --version ] && echo "kind version 0.33.0" && exit
echo kind "$@" >> {log}
if [ "$1" = create ]; then
  for argument in "$@"; do case $argument in --kubeconfig=*) echo '{json.dumps(KUBECONFIG)}' > "${{argument#*=}}";; esac; done
fi
if [ "$1" = get ]; then echo kai-sched-t; fi
""",
    )
    return log


def bring_up(tmp_path: Path) -> Record:
    folder = tmp_path / "cluster"
    folder.mkdir()
    return KindProvider().up(Wish(name="t", folder=folder))


def test_up_creates_a_named_cluster_with_its_own_kubeconfig_and_fake_kubelets(
    recorded: Path, tmp_path: Path
) -> None:
    record = bring_up(tmp_path)
    try:
        folder = tmp_path / "cluster"
        first = recorded.read_text().splitlines()[0]
        assert first == (
            f"kind create cluster --name=kai-sched-t --config={folder}/kind.yaml"
            f" --kubeconfig={folder}/kubeconfig --wait=180s"
        )
        assert yaml.safe_load((folder / "kind.yaml").read_text()) == kind_config()
        assert record.url == "https://127.0.0.1:1"
        assert (folder / "kubeconfig.client-key").read_text() == "key"
        assert KindProvider().parts(record) == {"kind": True, "kwok": True}
    finally:
        KindProvider().down(tmp_path / "cluster", "t")
    kwok = next(line for line in recorded.read_text().splitlines() if line.startswith("kwok"))
    assert "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake" in kwok
    assert "--manage-all-nodes" not in kwok


def test_down_deletes_the_cluster_and_ends_the_fake_kubelets(recorded: Path, tmp_path: Path) -> None:
    record = bring_up(tmp_path)

    KindProvider().down(record.folder, "t")

    last = recorded.read_text().splitlines()[-1]
    assert last == f"kind delete cluster --name=kai-sched-t --kubeconfig={record.folder}/kubeconfig"
    assert KindProvider().parts(record)["kwok"] is False


def test_the_configuration_switches_the_same_gates_as_the_local_provider() -> None:
    config = kind_config()

    assert config["featureGates"]["GenericWorkload"] is True
    assert config["runtimeConfig"]["scheduling.k8s.io/v1alpha3"] == "true"


def test_a_kind_that_fails_is_quoted_and_nothing_is_left(
    recorded: Path, on_path: Script, cache: Path
) -> None:
    on_path(
        "kind",
        '[ "$1" = --version ] && echo "kind version 0.33.0" && exit\n'
        f'echo kind "$@" >> {recorded}\n[ "$1" = delete ] || {{ echo "ERROR: no room for the node" >&2; exit 1; }}',
    )

    with pytest.raises(ControlPlaneError, match=r"kind create cluster .*no room for the node"):
        registry.up(
            "t", ProviderName.KIND, crds=None, objects=[], kubeconfig=None, on_progress=lambda _text: None
        )

    assert recorded.read_text().splitlines()[-1].startswith("kind delete cluster --name=kai-sched-t")
    assert registry.known() == []


def test_no_docker_is_one_clear_line(on_path: Script) -> None:
    with pytest.raises(ControlPlaneError, match=r"no `docker` on PATH.*provider `local` needs none"):
        check_docker()


def test_a_docker_without_daemon_is_one_clear_line(on_path: Script) -> None:
    on_path("docker", 'echo "Cannot connect to the Docker daemon" >&2; exit 1')

    with pytest.raises(ControlPlaneError, match=r"does not answer \(Cannot connect to the Docker daemon\)"):
        check_docker()


def test_somebody_elses_kubeconfig_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump({"contexts": [{"name": "production"}]}))

    with pytest.raises(Exception, match=f"{file}.*holds something else"):
        registry.check_may_write(file, "t")

    file.write_text(yaml.safe_dump({"contexts": [{"name": "kai-sched-t"}]}))
    registry.check_may_write(file, "t")
