"""Parts of the kind target that need no cluster and no Docker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from cryptography import x509

from lab import debian, pki
from lab import preflight as lab_preflight
from lab.cgroups import Cgroups
from lab.flux import render
from lab.kind import config, preflight
from lab.kind.cluster import KindCluster
from lab.kind.engine import Engine
from lab.kind.settings import KindSettings
from lab.kind.watched import watched
from lab.monitoring import configuration
from lab.nodes import ADD_ONS_LABEL
from lab.settings import LabSettings
from velero_acceptance.cli.main import main
from velero_acceptance.core.errors import Refusal
from velero_acceptance.core.settings import Profile, Settings, Target
from velero_acceptance.target.selection import environment

IMAGE = "example/node:v1"


@pytest.fixture(autouse=True)
def defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that the developer's own environment does not change."""
    for name in [name for name in os.environ if name.startswith(("ACCEPTANCE_LAB_", "ACCEPTANCE_KIND_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KindSettings:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # A name of nobody's: `down` ends whatever is in the control group of that name.
    return KindSettings(name=f"test-{os.getpid()}")


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program called docker that answers as the file beside it says, a line a call's first word."""
    program, answers = tmp_path / "bin/docker", tmp_path / "bin/answers"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, pathlib, sys\n"
        f"answers = json.loads(pathlib.Path({str(answers)!r}).read_text())\n"
        "said = answers.get(sys.argv[1])\n"
        "print(said or '')\n"
        "sys.exit(0 if said is not None else 1)\n"
    )
    program.chmod(0o755)
    answers.write_text("{}")
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return answers


# -- the configuration ----------------------------------------------------------------------


def generated(settings: KindSettings, *, restrict_scores: bool = False) -> dict[str, Any]:
    return config.cluster(settings, image=IMAGE, restrict_scores=restrict_scores)


def test_the_file_of_the_project_stands_by_itself() -> None:
    """A control plane, two workers, no network, and nothing that only some machines could take."""
    content = yaml.safe_load(config.SOURCE.read_text())
    assert [node["role"] for node in content["nodes"]] == ["control-plane", "worker", "worker"]
    assert {node["image"] for node in content["nodes"]} == {config.official_image()}
    assert "@sha256:" in config.official_image()
    assert content["networking"]["disableDefaultCNI"] is True
    assert "containerdConfigPatches" not in content
    mounts = [mount["containerPath"] for node in content["nodes"] for mount in node.get("extraMounts", [])]
    assert mounts == ["/var/openebs", "/var/openebs"]
    (patch,) = content["kubeadmConfigPatches"]
    assert yaml.safe_load(patch)["failCgroupV1"] is False


def test_one_worker_carries_the_add_ons() -> None:
    labels = [node.get("labels", {}).get(ADD_ONS_LABEL) for node in yaml.safe_load(config.SOURCE.read_text())["nodes"]]
    assert labels == [None, "true", "false"]


def test_what_the_machine_adds(settings: KindSettings) -> None:
    content = generated(settings)
    assert content["name"] == settings.name and {node["image"] for node in content["nodes"]} == {IMAGE}
    assert content["networking"]["apiServerPort"] == settings.api_port
    control_plane, *workers = content["nodes"]
    assert control_plane["extraMounts"] == [{"hostPath": str(settings.audit), "containerPath": config.AUDIT}]
    disks = [mount["hostPath"] for node in workers for mount in node["extraMounts"]]
    assert disks == [str(settings.state / name / "openebs") for name in settings.workers]


def test_the_audit_log_is_turned_on_where_it_is_mounted(settings: KindSettings) -> None:
    patch = yaml.safe_load(generated(settings)["kubeadmConfigPatches"][-1])
    options = {option["name"]: option["value"] for option in patch["apiServer"]["extraArgs"]}
    (volume,) = patch["apiServer"]["extraVolumes"]
    assert Path(options["audit-log-path"]).parent == Path(volume["mountPath"]) == Path(config.AUDIT)
    assert settings.audit / Path(options["audit-log-path"]).name == settings.audit_log
    path = config.write(settings, image=IMAGE, restrict_scores=False)
    assert yaml.safe_load(path.read_text())["name"] == settings.name
    policy = yaml.safe_load((settings.audit / Path(options["audit-policy-file"]).name).read_text())
    assert {"group": "velero.io"} in [entry for rule in policy["rules"] for entry in rule.get("resources", [])]


def test_only_a_machine_without_the_capability_gets_the_containerd_patch(settings: KindSettings) -> None:
    assert "containerdConfigPatches" not in generated(settings)
    (patch,) = generated(settings, restrict_scores=True)["containerdConfigPatches"]
    assert "restrict_oom_score_adj = true" in patch


def test_the_pod_network_asks_the_control_plane_by_name() -> None:
    documents = list(yaml.safe_load_all(render("podnet", image="x", control_plane="k-control-plane")))
    (daemon,) = [document for document in documents if document["kind"] == "DaemonSet"]
    spec = daemon["spec"]["template"]["spec"]
    assert spec["hostNetwork"] and {"operator": "Exists"} in spec["tolerations"]
    assert {"name": "CONTROL_PLANE", "value": "k-control-plane:6443"} in spec["containers"][0]["env"]


# -- Prometheus -----------------------------------------------------------------------------


def test_prometheus_watches_the_workers_with_a_certificate_of_the_cluster(settings: KindSettings, docker: Path) -> None:
    (settings.state / "pki").mkdir(parents=True)
    signed = {"certificate-authority-data": "YQ==", "client-certificate-data": "Yg==", "client-key-data": "Yw=="}
    kubeconfig = {"clusters": [{"cluster": signed}], "users": [{"user": signed}]}
    docker.write_text(json.dumps({"exec": yaml.safe_dump(kubeconfig)}))
    control_plane, *workers = (settings.container(role) for role in ("control-plane", "worker", "worker2"))
    addresses = {control_plane: "10.0.0.1", **dict(zip(workers, ("10.0.0.2", "10.0.0.3"), strict=True))}

    found = watched(settings, Engine(settings, own=False), addresses)
    jobs = {job["job_name"]: job for job in configuration(settings, found)["scrape_configs"]}
    targets = {name: job["static_configs"][0]["targets"] for name, job in jobs.items()}
    assert targets["apiserver"] == ["10.0.0.1:6443"]
    assert targets["kubelet"] == ["10.0.0.2:10250", "10.0.0.3:10250"]
    for job, option, content in (
        ("apiserver", "ca_file", b"a"),
        ("apiserver", "cert_file", b"b"),
        ("kubelet", "key_file", b"c"),
    ):
        path = Path(jobs[job]["tls_config"][option])
        assert path.read_bytes() == content and path.stat().st_mode & 0o077 == 0
    assert jobs["minio"]["tls_config"] == {"ca_file": str(settings.state / "pki/ca.crt")}, "not of the cluster's"


# -- settings -------------------------------------------------------------------------------


def test_lab_and_kind_can_stand_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    lab, kind = LabSettings(), KindSettings()
    assert not lab.network.overlaps(kind.network)
    assert not set(lab.forwarded_ports.values()) & set(kind.forwarded_ports.values())
    assert LabSettings(name="x").group != KindSettings(name="x").group
    assert LabSettings(name="x").state != KindSettings(name="x").state
    monkeypatch.setenv("ACCEPTANCE_KIND_NAME", "other")
    assert KindSettings().container("worker") == "other-worker" and LabSettings().name == "lab"


def test_docker_gives_no_address_that_a_host_has(settings: KindSettings) -> None:
    for address in (settings.gateway, settings.control, settings.s3):
        assert address in settings.network and address not in settings.node_addresses


def test_pods_are_looked_for_wherever_the_machines_docker_has_put_them(settings: KindSettings) -> None:
    cluster = KindCluster(settings)
    assert not cluster.engine.own and cluster.accounts == cluster.cgroups.hierarchies
    cluster.engine.own = True
    assert cluster.accounts == cluster.cgroups.accounts != cluster.cgroups.hierarchies


def test_the_number_of_nodes_is_that_of_the_file() -> None:
    with pytest.raises(ValueError, match="nodes"):
        KindSettings(nodes=4)  # type: ignore[arg-type]


def test_the_certificates_are_those_of_the_services(settings: KindSettings) -> None:
    folder = settings.state / "pki"
    pki.issue_services(settings, folder)
    assert sorted(path.stem for path in folder.glob("*.crt")) == ["ca", "git", "registry", "s3"]
    authority = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    x509.load_pem_x509_certificate((folder / "s3.crt").read_bytes()).verify_directly_issued_by(authority)
    assert not (settings.state / "kubeconfig").exists(), "that one is kind's"
    before = (folder / "ca.crt").read_bytes()
    pki.issue_services(settings, folder)
    assert (folder / "ca.crt").read_bytes() == before


# -- refusals -------------------------------------------------------------------------------


def test_another_user_than_root_is_refused(
    settings: KindSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("sys.argv", ["acceptance", "kind", "up"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "run as root" in capsys.readouterr().err
    assert not settings.state.exists()


def test_less_than_eight_gigabytes_is_refused(settings: KindSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "FREE_BYTES", 10**18)
    with pytest.raises(Refusal, match=r"has [\d.]+ GB free, the lab needs"):
        lab_preflight.refuse_full_disk(settings, preflight.FREE_BYTES)
    assert KindCluster(settings).processes.recorded() == []


def test_a_network_inside_that_of_the_pods_is_refused() -> None:
    with pytest.raises(Refusal, match=r"overlaps 10\.245\.0\.0/16 of kind-config\.yaml: .*ACCEPTANCE_KIND_NETWORK"):
        preflight.refuse_taken_ranges(KindSettings(network="10.245.3.0/24"))  # type: ignore[arg-type]


def test_a_cluster_of_that_name_that_is_not_ours_is_refused(settings: KindSettings, docker: Path) -> None:
    docker.write_text(json.dumps({"version": "28", "ps": "k-control-plane running\nk-worker running"}))
    engine = Engine(settings, own=False)
    assert engine.nodes() == {"k-control-plane": "running", "k-worker": "running"}
    with pytest.raises(Refusal, match=r"the kind cluster \S+ is not ours: .*kind delete cluster --name"):
        preflight.refuse_foreign_cluster(settings, engine)
    with pytest.raises(Refusal, match="is not ours"):
        KindCluster(settings)._check()
    settings.state.mkdir(parents=True)
    settings.claim.touch()
    preflight.refuse_foreign_cluster(settings, engine)


def test_a_foreign_cluster_is_not_removed_by_down(settings: KindSettings, docker: Path) -> None:
    docker.write_text(json.dumps({"version": "28", "ps": "k-worker running"}))  # `rm` would be an error
    assert KindCluster(settings).down() is False


def test_no_docker_and_no_apt_is_refused(settings: KindSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(Refusal, match=r"no Docker engine .* without apt-get none can be unpacked"):
        preflight.refuse_no_engine(have_image=True, cgroups=Cgroups("x", settings.state))


def test_our_own_engine_is_refused_on_cgroup_v2(settings: KindSettings) -> None:
    settings.state.mkdir(parents=True)
    (settings.state / "cgroup.controllers").touch()
    with pytest.raises(Refusal, match="cgroup v1: start Docker"):
        preflight.refuse_no_engine(have_image=True, cgroups=Cgroups("x", settings.state))


def test_an_apt_without_mirror_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.run", lambda *_, **__: subprocess.CompletedProcess([], 0, b"\n", b""))
    with pytest.raises(Refusal, match=r"apt knows no mirror of (Debian|Ubuntu)"):
        debian.mirror()


@pytest.mark.parametrize("answer", [None, 404])
def test_a_mirror_that_does_not_answer_is_refused(answer: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def head(*_: object, **__: object) -> requests.Response:
        if answer is None:
            raise requests.ConnectionError
        response = requests.Response()
        response.status_code = answer
        return response

    monkeypatch.setattr(debian, "mirror", lambda: "http://mirror.example/debian/")
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    monkeypatch.setattr("requests.head", head)
    with pytest.raises(Refusal, match="has no bookworm for debootstrap"):
        preflight.refuse_no_mirror()


def test_down_while_up_is_refused(settings: KindSettings) -> None:
    with KindCluster(settings).locked(), pytest.raises(Refusal, match="another command is bringing the kind cluster"):
        KindCluster(settings).down()


@pytest.mark.usefixtures("settings")
def test_a_cluster_that_is_not_up_is_refused() -> None:
    with pytest.raises(Refusal, match="the kind cluster is not up: run `acceptance kind up`"):
        environment(Settings(target=Target.KIND))


def test_our_own_clusters_are_disrupted_by_default() -> None:
    assert Settings(target=Target.KIND).effective_profile is Profile.DISRUPT


# -- which engine ---------------------------------------------------------------------------


def test_an_engine_with_the_official_image_is_used(settings: KindSettings, docker: Path) -> None:
    docker.write_text(json.dumps({"version": "28", "image": "[]"}))
    cluster = KindCluster(settings)
    assert cluster._choose().own is False
    assert "kubernetes" not in {module.name for module in cluster.modules}


def test_without_the_image_the_engine_is_our_own(
    settings: KindSettings, docker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker.write_text(json.dumps({"version": "28"}))  # pull fails: no registry
    monkeypatch.setattr(preflight, "refuse_no_engine", lambda **_: None)
    cluster = KindCluster(settings)
    cluster.engine = cluster._choose()
    assert cluster.engine.own is True
    assert {"kubernetes", "kubeadm", "node-entrypoint"} <= {module.name for module in cluster.modules}


@pytest.mark.usefixtures("docker")
def test_a_docker_without_engine_does_not_answer(settings: KindSettings) -> None:
    assert Engine(settings, own=False).answers() is False


def test_no_program_is_built_twice_under_one_name() -> None:
    names = [name for module in KindCluster(KindSettings()).modules for name in module.packages]
    assert len(names) == len(set(names))


# -- the command line -----------------------------------------------------------------------


@pytest.mark.usefixtures("settings")
def test_status_and_kubeconfig_say_when_there_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("status", "kubeconfig"):
        monkeypatch.setattr("sys.argv", ["acceptance", "kind", command])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 1
        assert "there is no kind cluster: run `acceptance kind up`" in capsys.readouterr().err
