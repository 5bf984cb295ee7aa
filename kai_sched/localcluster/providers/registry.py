"""The named clusters of a user: start one, end one, list them. One folder each in the cache folder."""

from __future__ import annotations

import fcntl
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from kai_sched.errors import ControlPlaneError, InvalidInput
from kai_sched.localcluster.cluster import LocalCluster
from kai_sched.localcluster.folders import clusters_folder
from kai_sched.localcluster.providers.kind import KindProvider
from kai_sched.localcluster.providers.local import LocalProvider
from kai_sched.localcluster.providers.ports import Document, Provider, ProviderName, Record, Wish, load, save

PROVIDERS: dict[ProviderName, Provider] = {
    ProviderName.LOCAL: LocalProvider(),
    ProviderName.KIND: KindProvider(),
}
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Standing:
    """A named cluster as it is now. ``record`` None: it never became ready."""

    name: str
    record: Record | None
    parts: dict[str, bool]

    @property
    def is_running(self) -> bool:
        """Whether every part runs."""
        return self.record is not None and all(self.parts.values())


def up(
    name: str,
    provider: ProviderName,
    *,
    crds: Path | None,
    objects: Sequence[Document],
    kubeconfig: Path | None,
    on_progress: Callable[[str], None],
) -> Record:
    """Starts a named cluster. What is left of a dead one of that name is cleared away first."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{name!r} is no name for a cluster: use a-z, 0-9 and -", field="--name")
    if kubeconfig is not None:
        check_may_write(kubeconfig, name)
    with _alone(name):
        folder = clusters_folder() / name
        standing = _standing(folder)
        if standing is not None and standing.is_running:
            raise ControlPlaneError(
                f"cluster {name} runs already; `kai-sched dev down --name {name}` ends it"
            )
        _clear(folder)
        folder.mkdir(parents=True)
        wish = Wish(name=name, folder=folder, crds=crds, objects=objects, on_progress=on_progress)
        try:
            record = PROVIDERS[provider].up(wish)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        save(record)
    if kubeconfig is not None:
        kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_bytes(record.kubeconfig.read_bytes())
    return record


def new_folder(name: str) -> Path:
    """An empty folder for a cluster that its caller starts and may later ``keep``; an old one of that name is ended."""
    with _alone(name):
        folder = clusters_folder() / name
        _clear(folder)
        folder.mkdir(parents=True)
    return folder


def keep(cluster: LocalCluster, name: str) -> Record:
    """Makes a running cluster, started in ``new_folder``, one of the named ones that outlive their process."""
    record = Record(
        name=name,
        provider=ProviderName.LOCAL,
        folder=cluster.folder,
        kubeconfig=cluster.kubeconfig,
        url=cluster.url,
    )
    save(record)
    cluster.detach()
    return record


def down(name: str) -> None:
    """Ends a named cluster and forgets it. Raises ``ControlPlaneError`` where there is none."""
    folder = clusters_folder() / name
    if not _NAME.fullmatch(name) or not folder.is_dir():
        there = ", ".join(known()) or "none"
        raise ControlPlaneError(f"no cluster {name} (there are: {there})")
    with _alone(name):
        _clear(folder)


def known() -> list[str]:
    """The names of all clusters, also of broken ones."""
    folder = clusters_folder()
    return sorted(one.name for one in folder.iterdir() if one.is_dir()) if folder.is_dir() else []


def standings() -> list[Standing]:
    """All named clusters as they are now."""
    found = (_standing(clusters_folder() / name) for name in known())
    return [standing for standing in found if standing is not None]


def check_may_write(kubeconfig: Path, name: str) -> None:
    """Raises ``InvalidInput`` where the file is somebody's kubeconfig of something else."""
    if not kubeconfig.exists():
        return
    try:
        contexts = yaml.safe_load(kubeconfig.read_text())["contexts"]
        names = {context["name"] for context in contexts}
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        names = set()
    if names not in ({f"kai-sched-{name}"}, {f"kind-kai-sched-{name}"}):
        raise InvalidInput(
            "exists and holds something else: name another file", source=str(kubeconfig), field="--kubeconfig"
        )


def _standing(folder: Path) -> Standing | None:
    if not folder.is_dir():
        return None
    record = load(folder)
    parts = {} if record is None else PROVIDERS[record.provider].parts(record)
    return Standing(folder.name, record, parts)


def _clear(folder: Path) -> None:
    """Ends whatever runs of a cluster; one that never became ready can only have local processes."""
    if not folder.is_dir():
        return
    record = load(folder)
    provider = PROVIDERS[ProviderName.LOCAL if record is None else record.provider]
    provider.down(folder, folder.name)
    shutil.rmtree(folder)


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Only one command at a time touches a cluster."""
    folder = clusters_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ControlPlaneError(f"another command is busy with cluster {name}") from error
        yield
