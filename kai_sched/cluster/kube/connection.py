"""How the API server is reached: address, trust and credentials from a kubeconfig or from inside a cluster.

The settings come from ``kubernetes.aio.config``; the TLS context is our own, because the environment may carry
trust stores (SSL_CERT_FILE, REQUESTS_CA_BUNDLE) that have nothing to do with the cluster's own authority.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import urllib.request
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from kubernetes.aio import config as kube_config
from kubernetes.aio.client import Configuration

from kai_sched.errors import InvalidInput

_TOKEN_LIFETIME_SECONDS = 60.0
"""How long a token read from a file is trusted; kubelets rotate projected tokens long before they end."""
_EXPIRY_MARGIN_SECONDS = 60.0


class Connection:
    """Address, TLS context and credentials; the credentials renew themselves."""

    def __init__(self, load: Callable[[], Awaitable[tuple[Configuration, float]]]) -> None:
        self._load = load
        self._lock = asyncio.Lock()
        self._authorization: str | None = None
        self._renew_at = 0.0
        self.base_url = ""
        self.proxy: str | None = None
        self.server_hostname: str | None = None
        self.ssl_context: ssl.SSLContext | None = None

    @classmethod
    async def open(cls, kubeconfig: Path | None = None, context: str | None = None) -> Connection:
        """Connect by this kubeconfig, else KUBECONFIG or ~/.kube/config, else as a pod of the cluster."""
        source = str(kubeconfig) if kubeconfig else _default_kubeconfig()
        connection = cls(_kubeconfig_loader(source, context) if source else _load_as_pod)
        await connection._renew(force=True)
        return connection

    async def authorization(self) -> str | None:
        """Value of the Authorization header, renewed when it is due."""
        if asyncio.get_running_loop().time() >= self._renew_at:
            await self._renew(force=False)
        return self._authorization

    async def renew_after(self, refused: str | None) -> bool:
        """After a 401: whether there are newer credentials than the refused ones."""
        if self._authorization == refused:
            await self._renew(force=True)
        return self._authorization != refused

    async def _renew(self, *, force: bool) -> None:
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if not force and now < self._renew_at:
                return
            settings, lifetime = await self._load()
            self._renew_at = asyncio.get_running_loop().time() + lifetime
            self._adopt(settings)
            settings.refresh_api_key_hook = None
            auth = await settings.auth_settings()
            self._authorization = auth["BearerToken"]["value"] if auth else None

    def _adopt(self, settings: Configuration) -> None:
        if self.ssl_context is not None and settings.cert_file:
            # Connections made from now on show the renewed certificate.
            self.ssl_context.load_cert_chain(settings.cert_file, settings.key_file)
        if self.base_url:
            return
        self.base_url = settings.host.rstrip("/")
        self.server_hostname = settings.tls_server_name
        self.proxy = settings.proxy or _proxy_of(self.base_url)
        if self.base_url.startswith("https"):
            self.ssl_context = _ssl_context(settings)


def _default_kubeconfig() -> str:
    """The file (or files, KUBECONFIG may name several to merge) that kubectl would read; "" if there is none."""
    names = os.environ.get("KUBECONFIG") or str(Path(os.environ.get("HOME") or "/", ".kube/config"))
    return names if any(Path(name).exists() for name in names.split(os.pathsep) if name) else ""


async def _load_as_pod() -> tuple[Configuration, float]:
    settings = Configuration()
    try:
        kube_config.load_incluster_config(client_configuration=settings)
    except kube_config.ConfigException as failure:
        raise InvalidInput(
            f"no kubeconfig (flag --kubeconfig, KUBECONFIG, ~/.kube/config) and not inside a cluster: {failure}"
        ) from failure
    return settings, _TOKEN_LIFETIME_SECONDS


def _refuse_missing(source: str) -> None:
    names = [name for name in source.split(os.pathsep) if name]
    if not any(Path(name).exists() for name in names):
        raise InvalidInput("no such file", source=source)


def _kubeconfig_loader(
    source: str, context: str | None
) -> Callable[[], Awaitable[tuple[Configuration, float]]]:
    async def load() -> tuple[Configuration, float]:
        settings = Configuration()
        _refuse_missing(source)
        try:
            loader = await kube_config.load_kube_config(
                config_file=source, context=context, client_configuration=settings
            )
        except (kube_config.ConfigException, OSError) as failure:
            raise InvalidInput(str(failure), source=source) from failure
        except (yaml.YAMLError, TypeError, AttributeError, KeyError, ValueError) as failure:
            # The library takes the file to be well formed and fails in its own ways where it is not.
            raise InvalidInput("is not a kubeconfig", source=source) from failure
        return settings, _lifetime(loader)

    return load


def _lifetime(loader: Any) -> float:
    """Seconds until the credentials should be loaded again; static ones only after a refusal."""
    expiry: datetime | None = getattr(loader, "exec_plugin_expiry", None)
    if expiry is not None:
        left = (expiry - datetime.now(UTC)).total_seconds() - _EXPIRY_MARGIN_SECONDS
        return max(left, 1.0)
    user = loader._user  # noqa: SLF001 — the library has no public way to tell which credentials it found
    return _TOKEN_LIFETIME_SECONDS if user is not None and "tokenFile" in user else float("inf")


def _ssl_context(settings: Configuration) -> ssl.SSLContext:
    """Trusts the cluster's authority alone where the settings name one, else the system's."""
    context = ssl.create_default_context(cafile=settings.ssl_ca_cert, cadata=settings.ca_cert_data)
    # Many cluster authorities were made without the extensions that newer Pythons insist on.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not settings.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.cert_file:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    return context


def _proxy_of(url: str) -> str | None:
    """The proxy that the environment names for this address, as every Kubernetes client honours it."""
    parts = urlsplit(url)
    if parts.hostname is None or urllib.request.proxy_bypass(parts.hostname):
        return None
    return urllib.request.getproxies().get(parts.scheme)
