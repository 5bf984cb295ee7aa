"""The provider ``local``: the processes of ``LocalCluster``, left running."""

from __future__ import annotations

from pathlib import Path

from kai_sched.localcluster import processes
from kai_sched.localcluster.binaries import CONTROL_PLANE
from kai_sched.localcluster.cluster import LocalCluster
from kai_sched.localcluster.providers.ports import ProviderName, Record, Wish
from kai_sched.localcluster.recipe import Layout


class LocalProvider:
    """etcd, API server, controller manager and kwok as processes of this machine."""

    def up(self, wish: Wish) -> Record:
        cluster = LocalCluster(
            name=f"kai-sched-{wish.name}",
            folder=wish.folder,
            objects=wish.objects,
            crds=wish.crds,
            on_progress=wish.on_progress,
        ).start()
        cluster.detach()
        return Record(
            name=wish.name,
            provider=ProviderName.LOCAL,
            folder=cluster.folder,
            kubeconfig=cluster.kubeconfig,
            url=cluster.url,
        )

    def down(self, folder: Path, name: str) -> None:
        del name
        processes.end_all(Layout(folder.resolve()))

    def parts(self, record: Record) -> dict[str, bool]:
        layout = Layout(record.folder)
        runs = {part.name: processes.is_alive(layout, part) for part in processes.recorded(layout)}
        return {tool.value: runs.get(tool.value, False) for tool in CONTROL_PLANE}
