"""The recipe of the local control plane: versions, feature gates and the flags of each process, in one place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

VERSION = "v1.37.1"
MINOR = (1, 37)
OLDEST_GO = (1, 26)

_VERSION_PACKAGE = "k8s.io/component-base/version"
LINKER_FLAGS = (
    f"-s -w -X {_VERSION_PACKAGE}.gitVersion={VERSION}"
    f" -X {_VERSION_PACKAGE}.gitMajor={MINOR[0]} -X {_VERSION_PACKAGE}.gitMinor={MINOR[1]}"
)
"""Without the ``-X`` part the API server does not know its own version."""

FEATURE_GATES = ",".join(
    f"{gate}=true"
    for gate in (
        "GenericWorkload",
        "DRAWorkloadResourceClaims",
        "TopologyAwareWorkloadScheduling",
        "CompositePodGroup",
        "DRAListTypeAttributes",
        "DRADerivedAttributes",
        "DRADeviceCompatibilityGroups",
    )
)
RUNTIME_CONFIG = "resource.k8s.io/v1=true,scheduling.k8s.io/v1beta1=true,scheduling.k8s.io/v1alpha3=true"

CLIENT_LIMITS = ("--kube-api-qps=5000", "--kube-api-burst=5000")
"""High enough to be no limit: what is measured is the program, not its client's throttle."""

STAGES_FILE = Path(__file__).with_name("stages.yaml")


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one control plane, all on the loopback interface."""

    etcd_client: int
    etcd_peer: int
    apiserver: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the files of one control plane lie."""

    folder: Path

    @property
    def admin_kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def ca(self) -> Path:
        return self.folder / "pki" / "ca.crt"

    @property
    def server_certificate(self) -> Path:
        return self.folder / "pki" / "apiserver.crt"

    @property
    def server_key(self) -> Path:
        return self.folder / "pki" / "apiserver.key"

    @property
    def service_account_key(self) -> Path:
        return self.folder / "pki" / "service-accounts.key"

    @property
    def webhook_certificate(self) -> Path:
        """What the API server shows to webhooks."""
        return self.folder / "pki" / "apiserver-webhook-client.crt"

    @property
    def webhook_key(self) -> Path:
        return self.folder / "pki" / "apiserver-webhook-client.key"

    @property
    def admission_config(self) -> Path:
        return self.folder / "admission.yaml"

    @property
    def tokens(self) -> Path:
        return self.folder / "pki" / "tokens.csv"

    @property
    def audit_policy(self) -> Path:
        return self.folder / "audit-policy.yaml"

    @property
    def audit_log(self) -> Path:
        return self.folder / "audit.log"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def pids(self) -> Path:
        return self.folder / "pids"


def etcd_flags(layout: Layout, ports: Ports) -> list[str]:
    """A single member that does not wait for the disk: its data live as long as the cluster."""
    client, peer = (f"http://127.0.0.1:{port}" for port in (ports.etcd_client, ports.etcd_peer))
    return [
        "--name=local",
        f"--data-dir={layout.folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=local={peer}",
        "--unsafe-no-fsync",
        "--quota-backend-bytes=4294967296",
        "--log-level=warn",
    ]


def apiserver_flags(layout: Layout, ports: Ports, *, audited: bool, release: str = "") -> list[str]:
    """Flags of kube-apiserver; ``release``: see ``_features``."""
    flags = [
        f"--etcd-servers=http://127.0.0.1:{ports.etcd_client}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        # A loopback address is no valid endpoint of the service "kubernetes": nobody here calls it.
        "--endpoint-reconciler-type=none",
        f"--secure-port={ports.apiserver}",
        f"--cert-dir={layout.folder / 'pki'}",
        f"--tls-cert-file={layout.server_certificate}",
        f"--tls-private-key-file={layout.server_key}",
        f"--token-auth-file={layout.tokens}",
        "--authorization-mode=RBAC",
        f"--admission-control-config-file={layout.admission_config}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={layout.service_account_key}",
        f"--service-account-signing-key-file={layout.service_account_key}",
        "--service-cluster-ip-range=10.96.0.0/16",
        *([] if release else [f"--runtime-config={RUNTIME_CONFIG}"]),
        *_features(release),
        # Gangs arrive in bursts; the default of 200 would measure the server's queue.
        "--max-mutating-requests-inflight=1000",
        "--max-requests-inflight=2000",
        "--allow-privileged=true",
        # It taints every new node as not ready until the node lifecycle controller, off here, says otherwise.
        "--disable-admission-plugins=TaintNodesByCondition",
        "--event-ttl=1h",
    ]
    if audited:
        flags += [
            f"--audit-policy-file={layout.audit_policy}",
            f"--audit-log-path={layout.audit_log}",
            "--audit-log-format=json",
        ]
    return flags


def controller_manager_flags(layout: Layout, *, release: str = "") -> list[str]:
    """Flags of kube-controller-manager. Nodes are fake, so nobody judges or numbers them."""
    return [
        f"--kubeconfig={layout.admin_kubeconfig}",
        "--controllers=*,-node-lifecycle-controller,-node-ipam-controller",
        "--leader-elect=false",
        "--secure-port=0",
        f"--root-ca-file={layout.ca}",
        f"--service-account-private-key-file={layout.service_account_key}",
        *_features(release),
        *CLIENT_LIMITS,
    ]


def _features(release: str) -> list[str]:
    """Everything that we use switched on; or ("1.34") what an older release has, as it has it by default."""
    return [f"--emulated-version={release}"] if release else [f"--feature-gates={FEATURE_GATES}"]


def kwok_flags(kubeconfig: Path, *, only_annotated: bool) -> list[str]:
    """Flags of kwok, which plays the kubelets; ``only_annotated`` where real nodes are about (kind)."""
    whose = (
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake"
        if only_annotated
        else "--manage-all-nodes"
    )
    return [
        f"--kubeconfig={kubeconfig}",
        f"--config={STAGES_FILE}",
        whose,
        "--node-lease-duration-seconds=40",
        "--cidr=10.128.0.0/9",
        # It would log a line for every status it writes.
        "-v=WARN",
    ]


def scheduler_flags(kubeconfig: Path) -> list[str]:
    """Flags of kube-scheduler, without client limits."""
    return [
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--secure-port=0",
        f"--feature-gates={FEATURE_GATES}",
        *CLIENT_LIMITS,
    ]


def admission_config(layout: Layout) -> tuple[str, str]:
    """How the API server shows webhooks who it is: the configuration, and the kubeconfig that it names."""
    kubeconfig = layout.admission_config.with_suffix(".kubeconfig")
    plugin = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "WebhookAdmissionConfiguration",
        "kubeConfigFile": str(kubeconfig),
    }
    configuration = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": [
            {"name": name, "configuration": plugin}
            for name in ("MutatingAdmissionWebhook", "ValidatingAdmissionWebhook")
        ],
    }
    user = {"client-certificate": str(layout.webhook_certificate), "client-key": str(layout.webhook_key)}
    users = {"apiVersion": "v1", "kind": "Config", "users": [{"name": "*", "user": user}]}
    return json.dumps(configuration), json.dumps(users)


def audit_policy(scope: str) -> str:
    """Policy text: ``bindings`` is the clock of benchmarks, ``requests`` also shows who was refused what."""
    rules: Mapping[str, str] = {
        "bindings": '- level: Metadata\n  resources: [{group: "", resources: [pods/binding]}]\n- level: None\n',
        "requests": "- level: Metadata\n",
    }
    return "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n" + rules[scope]
