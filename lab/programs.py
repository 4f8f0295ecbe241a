"""Every program the lab builds from source, one Go module each in ``lab/tools``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TOOLS = Path(__file__).with_name("tools")

KUBERNETES_MINOR = "36"
KUBERNETES_VERSION = f"v1.{KUBERNETES_MINOR}.4"
VELERO_VERSION = "v1.16.2"
AWS_PLUGIN_VERSION = "v1.14.3"
COREDNS_VERSION = "v1.14.7"
KIND_VERSION = "v0.32.0"
LOCAL_PATH_VERSION = "v0.0.30"
FLUX_VERSIONS = {"source-controller": "v1.7.0", "kustomize-controller": "v1.7.3", "helm-controller": "v1.4.0"}

_KUBERNETES_FLAGS = "k8s.io/component-base/version"
_VELERO_FLAGS = "github.com/vmware-tanzu/velero/pkg/buildinfo"
# Without these kubelet, API server and kubeadm report v0.0.0 and version checks fail.
_KUBERNETES = (
    f"-X {_KUBERNETES_FLAGS}.gitVersion={KUBERNETES_VERSION}",
    f"-X {_KUBERNETES_FLAGS}.gitMajor=1",
    f"-X {_KUBERNETES_FLAGS}.gitMinor={KUBERNETES_MINOR}",
    f"-X {_KUBERNETES_FLAGS}.gitTreeState=clean",
)


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
    Module(
        "velero",
        {
            name: f"github.com/vmware-tanzu/velero/cmd/{name}"
            for name in ("velero", "velero-helper", "velero-restore-helper")
        },
        # Velero derives the tag of its helper image from this version.
        flags=(f"-X {_VELERO_FLAGS}.Version={VELERO_VERSION}",),
        weight=314,
    ),
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
