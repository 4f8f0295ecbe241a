"""The command `acceptance image`: the suite as a container image, to run in a cluster."""

from pathlib import Path
from typing import Annotated

import typer

from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.core.version import VARIABLE, commit_of


def image(file: Annotated[Path, typer.Argument(help="Where the archive is to be written.")]) -> None:
    """Write the suite and the programs that it calls to FILE, as a container image (an OCI archive).

    The programs are those that `acceptance lab up` builds.
    """
    from lab import suite_image
    from lab.oci import write

    if file.is_dir() or not file.parent.is_dir():
        raise Refusal(f"{file} cannot be written: name a file in an existing folder")
    made = suite_image.image(suite_image.programs(), {VARIABLE: commit_of(suite_image.SOURCE)})
    try:
        write(made, file)
    except OSError as error:
        raise AcceptanceError(f"{file} cannot be written: {error.strerror}") from None
    print(f"{made.reference} is in {file} ({file.stat().st_size / 1e6:.0f} MB)")
