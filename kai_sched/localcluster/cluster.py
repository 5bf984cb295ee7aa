"""A real control plane on this machine: etcd, kube-apiserver, kube-controller-manager, and kwok playing kubelets.

    with LocalCluster(crds=Path("crds"), objects=fleet_objects(read_fleet(path))) as cluster:
        cluster.kubectl("get", "nodes")

Each instance has its own folder and free ports. Everything ends, and the folder goes, when the block is left, also by
an exception or Ctrl-C; if the Python process itself is killed, a guard does it.
"""

from __future__ import annotations

import atexit
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from kai_sched.errors import ApiFailure, ControlPlaneError
from kai_sched.localcluster import processes, recipe
from kai_sched.localcluster.admin import AdminApi, Document
from kai_sched.localcluster.binaries import CONTROL_PLANE, Tool, ensure
from kai_sched.localcluster.fleet.publish import publish
from kai_sched.localcluster.guard import start_guard
from kai_sched.localcluster.pki import make_credentials, write_kubeconfig
from kai_sched.localcluster.setup import apply_crds, service_account_token, wait_for

_READY_SECONDS = 60.0
_PORT_ATTEMPTS = 3


class Audit(StrEnum):
    """What the API server writes into its audit log."""

    NONE = "none"
    BINDINGS = "bindings"
    """Pod bindings only: the clock of benchmarks."""
    REQUESTS = "requests"
    """Every request: who was refused what."""


class LocalCluster:
    """One local control plane. Use as a context manager; see the module's docstring."""

    def __init__(
        self,
        *,
        name: str = "local",
        folder: Path | None = None,
        objects: Iterable[Document] = (),
        crds: Path | None = None,
        audit: Audit = Audit.NONE,
        kube_scheduler: bool = False,
        on_progress: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """Nothing is started yet.

        ``objects`` are created once it is ready (``fleet_objects`` makes them from a fleet file), after the CRDs in
        the folder ``crds``. ``folder`` given: it is used, and left behind, by ``start`` and ``detach``.
        """
        self.name = name
        self.token = ""
        self.url = ""
        self._given_folder = folder
        self._layout = recipe.Layout(folder or Path("/nonexistent"))
        self._objects = tuple(objects)
        self._crds = crds
        self._audit = audit
        self._wants_scheduler = kube_scheduler
        self._release = ""
        self._say = on_progress
        self._binaries: dict[Tool, Path] = {}
        self._ports = recipe.Ports(0, 0, 0)
        self._guard: subprocess.Popen[bytes] | None = None
        self._api: AdminApi | None = None
        self._is_detached = False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._is_detached:
            self.stop()

    @property
    def layout(self) -> recipe.Layout:
        """The names of the files in the folder."""
        return self._layout

    @property
    def folder(self) -> Path:
        """Where logs, keys and data lie."""
        return self._layout.folder

    @property
    def kubeconfig(self) -> Path:
        """The admin's kubeconfig."""
        return self._layout.admin_kubeconfig

    @property
    def ca(self) -> Path:
        """The certificate authority of the API server."""
        return self._layout.ca

    @property
    def audit_log(self) -> Path:
        """The audit log, JSON lines; there only if asked for."""
        return self._layout.audit_log

    @property
    def api(self) -> AdminApi:
        """The admin's client."""
        if self._api is None:
            raise ControlPlaneError("the local control plane is not started")
        return self._api

    def emulating(self, release: str) -> Self:
        """To be said before the start: serve the API of an older release ("1.34") as that has it by default."""
        self._release = release
        return self

    def start(self) -> Self:
        """Starts everything and returns when it is ready for use."""
        tools = [*CONTROL_PLANE, *([Tool.SCHEDULER] if self._wants_scheduler else [])]
        self._binaries = ensure(tools)
        with ExitStack() as undo:
            self._prepare_folder()
            undo.callback(self.stop)
            self._start_control_plane()
            self._fill()
            undo.pop_all()
        return self

    def stop(self) -> None:
        """Ends all processes in order and removes the folder. Safe to call twice."""
        atexit.unregister(self.stop)
        processes.end_all(self._layout)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._release_guard()

    def detach(self) -> None:
        """Lets the cluster outlive this process; ``processes.end_all`` on its folder ends it."""
        self._is_detached = True
        atexit.unregister(self.stop)
        if self._guard is not None:
            self._guard.kill()
            self._guard.wait()
            self._guard = None

    def kill_apiserver(self) -> None:
        """SIGKILL to the API server, as a crash of its machine would look."""
        self._end(Tool.APISERVER, signal.SIGKILL)

    def start_apiserver(self) -> None:
        """Starts the API server again on its old port and data, and waits until it is ready."""
        self._launch(Tool.APISERVER, self._apiserver_flags())
        self._wait_ready()

    def restart_apiserver(self) -> None:
        """Kills the API server and starts it again."""
        self.kill_apiserver()
        self.start_apiserver()

    def start_scheduler(self, *flags: str) -> None:
        """Starts kube-scheduler, the baseline of benchmarks; ``flags`` come after the recipe's."""
        self._binaries |= ensure([Tool.SCHEDULER])
        self._launch(Tool.SCHEDULER, [*recipe.scheduler_flags(self.kubeconfig), *flags])

    def stop_scheduler(self) -> None:
        """Ends kube-scheduler."""
        self._end(Tool.SCHEDULER, signal.SIGTERM)

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        """Runs kubectl as the admin; its standard output, or ``ControlPlaneError`` with what it said."""
        binary = ensure([Tool.KUBECTL])[Tool.KUBECTL]
        answer = subprocess.run(
            [binary, f"--kubeconfig={self.kubeconfig}", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        if check and answer.returncode != 0:
            raise ControlPlaneError(f"kubectl {' '.join(arguments)}: {answer.stderr.strip()}")
        return answer.stdout if answer.returncode == 0 else answer.stdout + answer.stderr

    def kubeconfig_for(self, service_account: str, namespace: str = "default") -> Path:
        """A kubeconfig with which a program runs as a ServiceAccount (which must exist), good for a day."""
        token = service_account_token(self.api, service_account, namespace)
        path = self.folder / "kubeconfigs" / f"{namespace}.{service_account}"
        return write_kubeconfig(
            path, url=self.url, ca=self.ca, token=token, user=service_account, name=self.name
        )

    def new_namespace(self, name: str) -> None:
        """Creates a namespace and waits for its ServiceAccount, without which it takes no pods."""
        self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        self._wait_for_account(name)

    def alive(self) -> dict[str, int]:
        """Name and process id of every part that runs."""
        return {
            part.name: part.pid
            for part in processes.recorded(self._layout)
            if processes.is_alive(self._layout, part)
        }

    def _prepare_folder(self) -> None:
        folder = self._given_folder or Path(tempfile.mkdtemp(prefix="kai-sched-"))
        folder.mkdir(parents=True, exist_ok=True)
        self._layout = recipe.Layout(folder.resolve())
        self._guard = start_guard(self.folder)
        atexit.register(self.stop)
        self.token = make_credentials(self._layout)
        configuration, users = recipe.admission_config(self._layout)
        self._layout.admission_config.write_text(configuration)
        self._layout.admission_config.with_suffix(".kubeconfig").write_text(users)
        if self._audit is not Audit.NONE:
            self._layout.audit_policy.write_text(recipe.audit_policy(self._audit.value))

    def _start_control_plane(self) -> None:
        """Another program may take a free port before we do: then all starts anew on others."""
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            self._choose_ports()
            self._launch(Tool.ETCD, recipe.etcd_flags(self._layout, self._ports))
            self._launch(Tool.APISERVER, self._apiserver_flags())
            try:
                self._wait_ready()
            except ControlPlaneError as error:
                processes.end_all(self._layout)
                if attempt == _PORT_ATTEMPTS or "address already in use" not in str(error):
                    raise
            else:
                return

    def _choose_ports(self) -> None:
        self._ports = recipe.Ports(*_free_ports(3))
        self.url = f"https://127.0.0.1:{self._ports.apiserver}"
        self._api = AdminApi(self.url, self.ca, self.token)
        write_kubeconfig(
            self.kubeconfig, url=self.url, ca=self.ca, token=self.token, user="admin", name=self.name
        )

    def _fill(self) -> None:
        """Starts what needs an API server, then creates what the caller asked for."""
        self._launch(
            Tool.CONTROLLER_MANAGER, recipe.controller_manager_flags(self._layout, release=self._release)
        )
        self._launch(Tool.KWOK, recipe.kwok_flags(self.kubeconfig, only_annotated=False))
        if self._crds is not None:
            self._say("applying CRDs")
            apply_crds(self.api, self._crds)
        if self._wants_scheduler:
            self.start_scheduler()
        self._wait_for_account("default")
        if self._objects:
            self._say(f"creating {len(self._objects)} objects")
            publish(self.api, self._objects)

    def _wait_for_account(self, namespace: str) -> None:
        def is_there() -> bool:
            try:
                self.api.get("ServiceAccount", "default", namespace)
            except ApiFailure:
                return False
            return True

        wait_for(is_there, f"the default ServiceAccount of {namespace}", self._check_alive)

    def _apiserver_flags(self) -> list[str]:
        is_audited = self._audit is not Audit.NONE
        return recipe.apiserver_flags(self._layout, self._ports, audited=is_audited, release=self._release)

    def _wait_ready(self) -> None:
        def is_ready() -> bool:
            try:
                return self.api.raw("GET", "/readyz", timeout=5.0) == b"ok"
            except ApiFailure:
                return False

        wait_for(is_ready, "kube-apiserver", self._check_alive, seconds=_READY_SECONDS)

    def _check_alive(self) -> None:
        """A process that died while we wait says why in its log."""
        for part in processes.recorded(self._layout):
            if not processes.is_alive(self._layout, part):
                raise ControlPlaneError(f"{part.name} ended: {processes.last_words(self._layout, part.name)}")

    def _launch(self, tool: Tool, flags: Sequence[str]) -> None:
        self._say(f"starting {tool.value}")
        order = tuple(Tool).index(tool)
        processes.launch(self._layout, order, tool.value, [self._binaries[tool], *flags])

    def _end(self, tool: Tool, first: signal.Signals) -> None:
        for part in processes.recorded(self._layout):
            if part.name == tool.value:
                processes.end(self._layout, part, first=first)

    def _release_guard(self) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()
            self._guard.wait(timeout=30)
            self._guard = None


def _free_ports(count: int) -> list[int]:
    """Ports that are free now; all are held at once, so that they differ."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
