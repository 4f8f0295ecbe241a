"""Fills the cache from inside the root of a guest, where there still is a network: ``python -m lab.vm.prepare``."""

from __future__ import annotations

from rich.console import Console

from lab import build, debian, images
from lab.progress import Steps
from lab.settings import LabSettings


def main() -> None:
    release = LabSettings().release
    debian.ensure()
    build.build(Steps(Console()), release.modules)
    images.archives(images.images(release))


if __name__ == "__main__":
    main()
