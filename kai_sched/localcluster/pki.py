"""Keys, certificates, tokens and kubeconfigs of one local control plane."""

from __future__ import annotations

import ipaddress
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import NameOID

from kai_sched.localcluster.recipe import Layout

WEBHOOK_CLIENT: Final = "kube-apiserver-webhook-client"
"""As whom the API server calls webhooks."""
_VALID_FROM = datetime(2020, 1, 1, tzinfo=UTC)
_VALID_FOR = timedelta(days=36_500)
"""The key lives as long as the folder; a wide span spares us a clock."""


def make_credentials(layout: Layout) -> str:
    """Writes CA, server certificate, the key that signs service account tokens and the admin's token; returns that."""
    layout.ca.parent.mkdir(parents=True, exist_ok=True)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    authority = _authority(ca_key)
    server_key = ec.generate_private_key(ec.SECP256R1())
    server = _server_certificate(server_key.public_key(), authority, ca_key)
    layout.ca.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    layout.server_certificate.write_bytes(server.public_bytes(serialization.Encoding.PEM))
    _write_key(layout.server_key, server_key)
    client_key = ec.generate_private_key(ec.SECP256R1())
    client = _server_certificate(client_key.public_key(), authority, ca_key, WEBHOOK_CLIENT)
    layout.webhook_certificate.write_bytes(client.public_bytes(serialization.Encoding.PEM))
    _write_key(layout.webhook_key, client_key)
    # Service account tokens are signed with RS256, for which the API server wants an RSA key.
    _write_key(layout.service_account_key, rsa.generate_private_key(public_exponent=65537, key_size=2048))
    token = secrets.token_hex(16)
    _write_private(layout.tokens, f'{token},admin,admin,"system:masters"\n'.encode())
    return token


def write_kubeconfig(path: Path, *, url: str, ca: Path, token: str, user: str, name: str) -> Path:
    """A kubeconfig with one context; the CA by path, so that no CA of the environment gets in the way."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": url, "certificate-authority": str(ca)}}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user, "namespace": "default"}}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_private(path, yaml.safe_dump(document, sort_keys=False).encode())
    return path


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        _unsigned("kai-sched local control plane", key.public_key())
        .issuer_name(_name("kai-sched local control plane"))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _server_certificate(
    key: ec.EllipticCurvePublicKey,
    authority: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    name: str = "kube-apiserver",
) -> x509.Certificate:
    names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    return (
        _unsigned(name, key)
        .issuer_name(authority.subject)
        .add_extension(names, critical=False)
        .add_extension(issuer_key, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _unsigned(subject: str, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_VALID_FROM)
        .not_valid_after(_VALID_FROM + _VALID_FOR)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _write_key(path: Path, key: PrivateKeyTypes) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    _write_private(path, pem)


def _write_private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
