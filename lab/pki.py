"""Certificates of the lab: one authority, and a leaf for each program that speaks TLS.

Keys live in the lab's state folder with mode 0600 and are gone after ``down``.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.network import hosts
from lab.settings import API_SERVICE_ADDRESS, LabSettings

# Name of the user that Prometheus is to the API server and to kubelets.
MONITORING = "lab-monitoring"
LIFETIME = datetime.timedelta(days=365)
LOOPBACK = IPv4Address("127.0.0.1")


@dataclass(frozen=True)
class Leaf:
    """A certificate to issue: file name, subject, and the names it serves under (none: client only)."""

    file: str
    common_name: str
    organization: str | None = None
    dns: Sequence[str] = ()
    addresses: Sequence[IPv4Address] = ()


def leaves(settings: LabSettings) -> list[Leaf]:
    """Every certificate the lab needs."""
    service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    kubelets = [
        Leaf(f"kubelet-{name}", f"system:node:{name}", "system:nodes", dns=[name], addresses=[address, LOOPBACK])
        for name, address in hosts(settings).items()
        if name in settings.node_names
    ]
    return [
        Leaf(
            "apiserver",
            "kube-apiserver",
            dns=["localhost", *service],
            addresses=[LOOPBACK, API_SERVICE_ADDRESS, settings.control],
        ),
        Leaf("apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
        Leaf("admin", "lab-admin", "system:masters"),
        Leaf("controller-manager", "system:kube-controller-manager"),
        Leaf("scheduler", "system:kube-scheduler"),
        Leaf("proxy", "system:kube-proxy"),
        Leaf("monitoring", MONITORING),
        *services(settings),
        *kubelets,
    ]


def services(settings: LabSettings) -> list[Leaf]:
    """The certificates of what stands beside the cluster."""
    return [
        Leaf("s3", "s3.lab", dns=["s3.lab", "localhost"], addresses=[LOOPBACK, settings.s3]),
        Leaf("git", "git.lab", dns=["git.lab"], addresses=[settings.control]),
        Leaf("registry", "registry.lab", dns=["registry.lab"], addresses=[settings.control]),
    ]


def issue(settings: LabSettings, folder: Path) -> None:
    """Write authority, leaves, service-account key and kubeconfigs to *folder*, unless they are there."""
    if (folder / "done").exists():
        return
    sign(folder, leaves(settings))
    service_accounts = rsa.generate_private_key(65537, 2048)
    _save(folder / "service-accounts", service_accounts)
    public = service_accounts.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (folder / "service-accounts.pub").write_bytes(public)
    clients = [
        "admin",
        "controller-manager",
        "scheduler",
        "proxy",
        *(f"kubelet-{name}" for name in settings.node_names),
    ]
    for client in clients:
        _kubeconfig(folder, client, f"https://{settings.control}:6443", folder / f"{client}.kubeconfig")
    _kubeconfig(folder, "admin", f"https://127.0.0.1:{settings.api_port}", settings.state / "kubeconfig", settings.name)
    (folder / "done").touch()


def issue_services(settings: LabSettings, folder: Path) -> None:
    """Write authority and leaves of what stands beside a cluster of its own kind, unless they are there."""
    if not (folder / "done").exists():
        sign(folder, services(settings))
        (folder / "done").touch()


def sign(folder: Path, wanted: Sequence[Leaf]) -> None:
    """Write a new authority, and the leaves it signs, to *folder*."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _authority(authority_key)
    _save(folder / "ca", authority_key, authority)
    for leaf in wanted:
        key = ec.generate_private_key(ec.SECP256R1())
        _save(folder / leaf.file, key, _sign(leaf, key, authority, authority_key))


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "velero-acceptance lab")])
    usage = _usage(key_cert_sign=True, crl_sign=True)
    return (
        _builder(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _sign(
    leaf: Leaf, key: ec.EllipticCurvePrivateKey, authority: x509.Certificate, authority_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, leaf.common_name)]
    if leaf.organization:
        subject.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, leaf.organization))
    served = [x509.DNSName(name) for name in leaf.dns] + [x509.IPAddress(address) for address in leaf.addresses]
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH] + ([ExtendedKeyUsageOID.SERVER_AUTH] if served else [])
    builder = (
        _builder(x509.Name(subject), authority.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
    )
    if served:
        builder = builder.add_extension(x509.SubjectAlternativeName(served), critical=False)
    return builder.sign(authority_key, hashes.SHA256())


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
    )


def _usage(**allowed: bool) -> x509.KeyUsage:
    names = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"]
    names += ["key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    return x509.KeyUsage(**{name: allowed.get(name, False) for name in names})


def _save(stem: Path, key: CertificateIssuerPrivateKeyTypes, certificate: x509.Certificate | None = None) -> None:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_secret(stem.with_name(f"{stem.name}.key"), private)
    if certificate is not None:
        stem.with_name(f"{stem.name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def write_secret(path: Path, content: bytes) -> None:
    """Write *content* to *path*, readable by the owner alone from the first byte on."""
    path.touch(mode=0o600)
    path.write_bytes(content)


def _kubeconfig(folder: Path, client: str, server: str, path: Path, context: str = "lab") -> None:
    cluster = {"server": server, "certificate-authority-data": _base64(folder / "ca.crt")}
    user = {
        "client-certificate-data": _base64(folder / f"{client}.crt"),
        "client-key-data": _base64(folder / f"{client}.key"),
    }
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": context, "cluster": cluster}],
        "users": [{"name": client, "user": user}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": client}}],
        "current-context": context,
    }
    write_secret(path, yaml.safe_dump(content).encode())


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
