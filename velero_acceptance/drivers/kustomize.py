"""kustomize, as it comes with kubectl: what a folder of manifests renders to."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from velero_acceptance.core.installation import program
from velero_acceptance.drivers.kinds import Json

CALL_SECONDS = 60.0
YAML = (".yaml", ".yml")


@dataclass(frozen=True)
class KustomizeBuild:
    """The objects a folder renders to, or in *error* why it does not, in kustomize's words."""

    items: list[Json] = field(default_factory=list)
    error: str = ""


def build(folder: Path) -> KustomizeBuild:
    """Render a folder without a cluster. Variables of Flux stay as they are."""
    done = subprocess.run(
        [program("kubectl"), "kustomize", folder], capture_output=True, text=True, timeout=CALL_SECONDS
    )
    if done.returncode != 0:
        return KustomizeBuild(error=done.stderr.strip())
    return KustomizeBuild([item for item in yaml.safe_load_all(done.stdout) if item])


def texts(tree: Path) -> dict[str, str]:
    """Every file below *tree* by its path; the content of what is YAML, nothing of the others'."""
    files = (path for path in sorted(tree.rglob("*")) if path.is_file())
    return {
        path.relative_to(tree).as_posix(): path.read_text(errors="replace") if path.suffix in YAML else ""
        for path in files
    }
