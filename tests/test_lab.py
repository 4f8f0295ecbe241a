"""Parts of the lab that need no lab."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import socket
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from rich.console import Console

from lab import build, debian, facts, gitops, network, nodes, oci, pki, preflight, registry
from lab.lifecycle import Lab
from lab.programs import MODULES, Module
from lab.progress import Steps
from lab.settings import LabSettings
from velero_acceptance.core.errors import AcceptanceError, Refusal

# -- refusals -------------------------------------------------------------------------------


def test_another_system_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    with pytest.raises(Refusal, match="needs Linux, this is Darwin"):
        preflight.refuse_foreign_system()


def test_another_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(Refusal, match="x86-64 machine, this is aarch64"):
        preflight.refuse_foreign_system()


def test_another_user_than_root_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(Refusal, match="run as root"):
        preflight.refuse_missing_rights()


def test_a_plain_chroot_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pathlib.Path.read_text", lambda _: "2011 27 0:656 / /proc rw,relatime - proc proc rw\n")
    with pytest.raises(Refusal, match="as in a plain chroot: bind-mount"):
        preflight.refuse_plain_chroot()


def test_a_missing_capability_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(preflight, "CAPABILITIES", {"CAP_OF_TOMORROW": 63})
    with pytest.raises(Refusal, match="CAP_OF_TOMORROW is missing"):
        preflight.refuse_missing_rights()


def test_a_full_disk_is_refused(settings: LabSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "FREE_BYTES", 10**18)
    with pytest.raises(Refusal, match=r"has [\d.]+ GB free, the lab needs"):
        preflight.refuse_full_disk(settings)


def test_folders_that_a_node_would_hide_are_refused(settings: LabSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/x")
    with pytest.raises(Refusal, match="XDG_CACHE_HOME must not lie below /var"):
        preflight.refuse_hidden_folders(settings)


def test_missing_go_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("sys.prefix", "/nowhere")
    with pytest.raises(Refusal, match=r"Go 1\.26 or later is missing: install"):
        build.go_version()


def test_a_port_in_use_is_named_with_the_setting_that_moves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = LabSettings(s3_port=port)
        monkeypatch.setattr(LabSettings, "forwarded_ports", {"S3": port})
        with pytest.raises(Refusal, match=rf"port {port} of 127.0.0.1 .* is in use: .*ACCEPTANCE_LAB_S3_PORT"):
            network.refuse_taken_ports(settings)


def test_a_network_of_the_machine_is_refused() -> None:
    with pytest.raises(Refusal, match=r"127\.0\.0\.0/24 overlaps 127\.0\.0\.1/8.*ACCEPTANCE_LAB_NETWORK"):
        network.refuse_taken_network(LabSettings(network="127.0.0.0/24"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"network": "10.0.0.0/30"},
        {"network": "10.244.7.0/24"},
        {"network": "somewhere"},
        {"name": "A B"},
        {"nodes": 0},
        {"api_port": 70000},
        {"garbage_collection_frequency": "hourly"},
        {"uploader": "rsync"},
    ],
)
def test_bad_settings_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        LabSettings(**change)  # type: ignore[arg-type]


def test_one_command_at_a_time(settings: LabSettings) -> None:
    with (
        Lab(settings).locked(),
        pytest.raises(Refusal, match="another command is bringing the lab"),
        Lab(settings).locked(),
    ):
        pass


def test_nothing_is_there_before_up(settings: LabSettings) -> None:
    lab = Lab(settings)
    assert lab.status() == {} and facts.load(settings) is None
    with pytest.raises(Refusal, match="node9 is no host of the lab"):
        lab.enter("node9")


# -- programs -------------------------------------------------------------------------------


def test_every_module_has_its_files_and_no_address() -> None:
    for module in MODULES:
        assert (module.folder / "go.mod").exists(), module.name
        assert "velero-acceptance.local" in (module.folder / "go.mod").read_text().splitlines()[0]


def test_a_binary_is_keyed_by_all_that_decides_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.programs.TOOLS", tmp_path)
    (tmp_path / "m").mkdir()
    (tmp_path / "m/go.mod").write_text("module m\n")
    plain = Module("m", {"m": "."})
    keys = {
        build.folder_of(plain, "go1"),
        build.folder_of(plain, "go2"),
        build.folder_of(Module("m", {"m": "."}, ("-X a=b",)), "go1"),
    }
    (tmp_path / "m/main.go").write_text("package main\n")
    keys.add(build.folder_of(plain, "go1"))
    (tmp_path / "m/go.sum").write_text("x\n")
    keys.add(build.folder_of(plain, "go1"))
    assert len(keys) == 5
    (tmp_path / "m/notes.txt").write_text("x")
    assert build.folder_of(plain, "go1") in keys


@pytest.mark.parametrize(
    "words",
    [
        "go: example.com/m@v1.2.3: reading https://x: 403 Forbidden\n\tThis module version is not available",
        "go: module example.com/m@v1.2.3: not found: 404 Not Found",
    ],
)
def test_a_refused_module_is_named(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = subprocess.CompletedProcess([], 1, b"", words.encode())
    monkeypatch.setattr("subprocess.run", lambda *_, **__: answer)
    monkeypatch.setattr(build, "go_program", lambda: "go")
    with pytest.raises(Refusal, match=r"refuses example\.com/m@v1\.2\.3, which thing needs"):
        build._go(Module("thing", {}), "build")


def test_a_compile_error_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = subprocess.CompletedProcess([], 1, b"", b"main.go:3:2: undefined: x")
    monkeypatch.setattr("subprocess.run", lambda *_, **__: answer)
    monkeypatch.setattr(build, "go_program", lambda: "go")
    with pytest.raises(AcceptanceError, match=r"building thing failed: .*undefined: x"):
        build._go(Module("thing", {}), "build")


@pytest.mark.usefixtures("settings")
def test_what_is_built_is_not_built_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "go_version", lambda: "go1")
    for module in MODULES:
        build.folder_of(module, "go1").mkdir(parents=True)
    assert build.build(Steps(Console(file=io.StringIO()))) == 0


@pytest.mark.usefixtures("settings")
def test_without_apt_the_packages_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None if name == "apt-get" else "/bin/x")
    with pytest.raises(Refusal, match="apt-get is missing"):
        debian.ensure()


# -- images ---------------------------------------------------------------------------------


def image(program: Path, **change: object) -> oci.Image:
    given: dict[str, object] = {
        "reference": "example/x:v1",
        "files": {"bin/x": program, "etc/name": "text"},
        "config": {"Entrypoint": ["/bin/x"]},
        "executables": frozenset({"bin/x"}),
        **change,
    }
    return oci.Image(**given)  # type: ignore[arg-type]


def test_an_image_is_a_whole_oci_layout(tmp_path: Path) -> None:
    program = tmp_path / "x"
    program.write_bytes(b"program")
    oci.write(image(program), tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as tar:
        blobs = {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]
    for name, data in blobs.items():
        if name.startswith("blobs/"):
            assert name == f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"
    index = json.loads(blobs["index.json"])
    assert index["manifests"][0]["annotations"]["io.containerd.image.name"] == "example/x:v1"
    manifest = json.loads(blobs["blobs/sha256/" + index["manifests"][0]["digest"][7:]])
    with tarfile.open(fileobj=io.BytesIO(blobs["blobs/sha256/" + manifest["layers"][0]["digest"][7:]])) as layer:
        assert layer.getmember("bin/x").mode == 0o755 and layer.getmember("etc/name").mode == 0o644
        assert layer.getnames().index("bin") < layer.getnames().index("bin/x")


def test_the_same_content_gives_the_same_bytes_and_key(tmp_path: Path) -> None:
    program = tmp_path / "x"
    program.write_bytes(b"program")
    oci.write(image(program), tmp_path / "a.tar")
    oci.write(image(program), tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert image(program).key == image(program).key != image(program, reference="example/x:v2").key
    before = image(program).key
    program.write_bytes(b"another program")
    assert image(program).key != before


# -- keys, settings and repository ----------------------------------------------------------


def test_certificates_are_signed_named_and_private(settings: LabSettings) -> None:
    folder = settings.state / "pki"
    pki.issue(settings, folder)
    authority = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    for leaf in pki.leaves(settings):
        certificate = x509.load_pem_x509_certificate((folder / f"{leaf.file}.crt").read_bytes())
        certificate.verify_directly_issued_by(authority)
        assert stat.S_IMODE((folder / f"{leaf.file}.key").stat().st_mode) == 0o600
    s3 = x509.load_pem_x509_certificate((folder / "s3.crt").read_bytes())
    names = s3.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "s3.lab" in names.get_values_for_type(x509.DNSName)
    assert stat.S_IMODE((settings.state / "kubeconfig").stat().st_mode) == 0o600
    before = (folder / "ca.crt").read_bytes()
    pki.issue(settings, folder)
    assert (folder / "ca.crt").read_bytes() == before


def test_the_machines_sysctls_are_saved_once(
    settings: LabSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "SYSTEM", tmp_path)
    for name in nodes.SYSCTLS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("128\n")
    nodes.save_sysctls(settings)
    limit = tmp_path / nodes.WATCHERS
    assert limit.read_text() == "1024"
    nodes.restore_sysctls(settings)
    assert limit.read_text() == "128"
    saved = yaml.safe_load((settings.state / "sysctls").read_text())
    assert set(saved) == set(nodes.SYSCTLS)
    (settings.state / "sysctls").write_text("kernel/panic: '7'\n")
    nodes.save_sysctls(settings)
    assert (settings.state / "sysctls").read_text() == "kernel/panic: '7'\n"


@pytest.fixture
def repository(settings: LabSettings) -> Path:
    gitops.commit(settings)
    return settings.state / "home"


def secrets_of(settings: LabSettings) -> list[str]:
    keys = json.loads((settings.state / "s3-credentials.json").read_text())
    return [keys["access_key"], keys["secret_key"], (settings.state / "age.key").read_text().strip()]


def test_the_repository_holds_no_secret_in_its_whole_history(settings: LabSettings, repository: Path) -> None:
    history = gitops.git("log", "-p", "--all", folder=repository)
    assert "ENC[AES256_GCM" in history
    for secret in secrets_of(settings):
        assert secret not in history


def test_the_secret_can_be_decrypted_with_the_labs_key(settings: LabSettings, repository: Path) -> None:
    sops = Path(sys.prefix) / "bin/sops"
    shown = subprocess.run(
        [sops, "--decrypt", repository / gitops.APP / "velero-s3-secret.sops.yaml"],
        env={**os.environ, "SOPS_AGE_KEY_FILE": str(settings.state / "age.key")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert secrets_of(settings)[1] in yaml.safe_load(shown.stdout)["stringData"]["cloud"]


def test_a_second_commit_changes_nothing(settings: LabSettings, repository: Path) -> None:
    before = gitops.git("rev-parse", "HEAD", folder=repository)
    gitops.commit(settings)
    assert gitops.git("rev-parse", "HEAD", folder=repository) == before


@pytest.mark.parametrize("folder", ["kubernetes/apps", "kubernetes/apps/velero/app", "kubernetes/apps/velero/schedule"])
def test_every_kustomization_builds(repository: Path, folder: str) -> None:
    kubectl = Path(sys.prefix) / "bin/kubectl"
    done = subprocess.run([kubectl, "kustomize", repository / folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list(yaml.safe_load_all(done.stdout))


def test_the_charts_values_are_all_in_its_schema() -> None:
    values = yaml.safe_load((registry.CHART / "values.yaml").read_text())
    schema = json.loads((registry.CHART / "values.schema.json").read_text())
    assert set(values) <= set(schema["properties"])
    release = (gitops.SOURCE / gitops.APP / "helmrelease.yaml").read_text()
    assert set(yaml.safe_load(release)["spec"]["values"]) <= set(schema["properties"])


# -- progress -------------------------------------------------------------------------------


def test_in_a_log_each_step_is_a_line_with_its_seconds() -> None:
    out = io.StringIO()
    steps = Steps(Console(file=out))
    with steps.display("lab"), steps.step("first"):
        steps.say("building a, b", done=1, of=3)
    assert re.search(r"building a, b \(1 of 3 done\)\n\s+first: \d\.\d s\n", out.getvalue())
    assert set(steps.seconds) == {"first"}


def test_a_step_that_fails_is_not_done() -> None:
    steps = Steps(Console(file=io.StringIO()))

    def fail() -> None:
        with steps.step("first"):
            raise AcceptanceError("broken")

    with pytest.raises(AcceptanceError):
        fail()
    assert steps.seconds == {}
