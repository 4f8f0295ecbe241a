"""kustomize, as it comes with kubectl: what a folder of manifests renders to."""

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from velero_acceptance.core.installation import program
from velero_acceptance.core.programs import execute
from velero_acceptance.core.timeouts import seconds
from velero_acceptance.drivers.kinds import Json

YAML = (".yaml", ".yml")


@dataclass(frozen=True)
class KustomizeBuild:
    """The objects that a folder renders to, or in *error* kustomize's reason why it does not."""

    items: list[Json] = field(default_factory=list)
    error: str = ""


def build(folder: Path) -> KustomizeBuild:
    """Render a folder without a cluster. Variables of Flux stay as they are."""
    done = execute(program("kubectl"), "kustomize", folder, timeout=seconds("local_call"))
    if done.code != 0:
        return KustomizeBuild(error=done.stderr.strip())
    return KustomizeBuild([item for item in yaml.safe_load_all(done.text) if item])


def texts(tree: Path) -> dict[str, str]:
    """Every file below *tree* by its path; with its content if it is YAML, else empty."""
    files = (path for path in sorted(tree.rglob("*")) if path.is_file())
    return {
        path.relative_to(tree).as_posix(): path.read_text(errors="replace") if path.suffix in YAML else ""
        for path in files
    }
