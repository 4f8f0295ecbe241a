"""Every program the lab builds from source, one Go module each in ``lab/tools``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TOOLS = Path(__file__).with_name("tools")

KUBERNETES_MINOR = "36"
KUBERNETES_VERSION = f"v1.{KUBERNETES_MINOR}.4"
VELERO_VERSION, VELERO_KOPIA_VERSION = "v1.16.2", "v1.18.3"
AWS_PLUGIN_VERSION = "v1.14.3"
COREDNS_VERSION = "v1.14.7"
KIND_VERSION = "v0.32.0"
LOCAL_PATH_VERSION = "v0.0.30"
FLUX_VERSIONS = {"source-controller": "v1.7.0", "kustomize-controller": "v1.7.3", "helm-controller": "v1.4.0"}

_KUBERNETES_FLAGS = "k8s.io/component-base/version"
# Without these kubelet, API server and kubeadm report v0.0.0 and version checks fail.
_KUBERNETES = (
    f"-X {_KUBERNETES_FLAGS}.gitVersion={KUBERNETES_VERSION}",
    f"-X {_KUBERNETES_FLAGS}.gitMajor=1",
    f"-X {_KUBERNETES_FLAGS}.gitMinor={KUBERNETES_MINOR}",
    f"-X {_KUBERNETES_FLAGS}.gitTreeState=clean",
)
_VELERO = "github.com/vmware-tanzu/velero"
_VELERO_PROGRAMS = {name: f"{_VELERO}/cmd/{name}" for name in ("velero", "velero-helper", "velero-restore-helper")}
# Velero derives the tag of its helper image from this version.
_VELERO_FLAG = f"-X {_VELERO}/pkg/buildinfo.Version="


@dataclass(frozen=True)
class Module:
    """A folder of ``lab/tools`` (*source*, else *name*): its packages by the name their binary gets, and linker flags.

    *definitions* names Go modules whose ``config/crd/bases`` are copied beside the binaries:
    the custom resource definitions come from the very source the program is built from.
    *weight* is its share of a cold build, in CPU seconds as measured on two cores.
    """

    name: str
    packages: dict[str, str]
    flags: tuple[str, ...] = ()
    definitions: tuple[str, ...] = ()
    weight: int = 1
    source: str = ""

    @property
    def folder(self) -> Path:
        return TOOLS / (self.source or self.name)


VELERO = Module("velero", _VELERO_PROGRAMS, flags=(f"{_VELERO_FLAG}{VELERO_VERSION}",), weight=314)
# With kopia's own command, which reads a repository without Velero.
VELERO_KOPIA = Module(
    "velero-kopia",
    {**_VELERO_PROGRAMS, "kopia": "github.com/kopia/kopia"},
    flags=(f"{_VELERO_FLAG}{VELERO_KOPIA_VERSION}",),
    weight=420,
)
MODULES = (
    Module(
        "kubernetes",
        {"kube": "./kube", "coredns": "./coredns"},
        flags=_KUBERNETES,
        weight=640,
    ),
    Module(
        "flux",
        {name: f"github.com/fluxcd/{name}" for name in FLUX_VERSIONS},
        definitions=tuple(f"github.com/fluxcd/{name}" for name in FLUX_VERSIONS),
        weight=477,
    ),
    VELERO,
    Module(
        "velero-plugin-for-aws",
        {
            "velero-plugin-for-aws": "github.com/vmware-tanzu/velero-plugin-for-aws/velero-plugin-for-aws",
            "cp-plugin": "github.com/vmware-tanzu/velero-plugin-for-aws/hack/cp-plugin",
        },
        weight=288,
    ),
    Module("minio", {"minio": "github.com/minio/minio"}, weight=268),
    Module(
        "local-path-provisioner", {"local-path-provisioner": "github.com/rancher/local-path-provisioner"}, weight=155
    ),
    Module("database", {"database": "."}, weight=20),
    Module("toxiproxy", {"toxiproxy": "github.com/Shopify/toxiproxy/v2/cmd/server"}, weight=13),
    Module("git-server", {"git-server": "."}, weight=5),
    Module("forwarder", {"forwarder": "."}, weight=2),
    Module("corpus", {"corpus": "."}, weight=2),
    Module("pause", {"pause": "."}, weight=1),
)

# What the kind target needs on top.
KIND_MODULES = (
    Module("kind", {"kind": "sigs.k8s.io/kind"}, weight=10),
    Module("podnet", {"podnet": "."}, weight=3),
)
# And to make its nodes where there is no image of them.
NODE_MODULES = (
    Module("kubeadm", {"kubeadm": "k8s.io/kubernetes/cmd/kubeadm"}, flags=_KUBERNETES, weight=25, source="kubernetes"),
    Module("node-entrypoint", {"node-entrypoint": "."}),
)


@dataclass(frozen=True)
class Release:
    """A Velero by the uploader that it backs up with: its programs, and what Flux deploys it from.

    *chart* is the version of upstream's chart, *path* a folder of ``gitops/``.
    """

    uploader: str
    version: str
    module: Module
    chart: str
    path: str

    @property
    def modules(self) -> tuple[Module, ...]:
        """All that a lab with this release is built from."""
        return tuple(self.module if module is VELERO else module for module in MODULES)


RELEASES = {
    release.uploader: release
    for release in (
        Release("restic", VELERO_VERSION, VELERO, "10.1.3", "./kubernetes/apps/velero/app"),
        Release("kopia", VELERO_KOPIA_VERSION, VELERO_KOPIA, "12.1.0", "./overlays/kopia-1.18"),
    )
}
DEFAULT = RELEASES["restic"]
