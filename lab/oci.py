"""Container images as OCI archives, made from files without a builder or a registry.

The same content gives the same bytes: no time stamps, sorted entries. Format: OCI image
layout 1.0.0 in a tar, as ``ctr images import`` and ``kind load image-archive`` take it.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Image:
    """One image: *files* maps a path to a source file or to text; *config* is the OCI run configuration."""

    reference: str
    files: Mapping[str, Path | str]
    config: Mapping[str, object]
    executables: frozenset[str] = frozenset()
    folders: Mapping[str, int] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Changes whenever the archive would: source files count by path, size and time."""
        sources = {
            path: [str(source), source.stat().st_size, source.stat().st_mtime_ns]
            if isinstance(source, Path)
            else source
            for path, source in self.files.items()
        }
        parts = [self.reference, sources, self.config, sorted(self.executables), self.folders, self.links]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=dict).encode()).hexdigest()[:16]


def write(image: Image, archive: Path) -> None:
    """Write *image* as an OCI archive to *archive*, whole or not at all."""
    layer = _layer(image)
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": dict(image.config),
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": _digest(config), "size": len(config)},
            "layers": [{"mediaType": LAYER, "digest": _digest(layer), "size": len(layer)}],
        }
    )
    names = {
        "io.containerd.image.name": image.reference,
        "org.opencontainers.image.ref.name": image.reference.rpartition(":")[2],
    }
    entry = {"mediaType": MANIFEST, "digest": _digest(manifest), "size": len(manifest), "annotations": names}
    blobs = {f"blobs/sha256/{_digest(blob)[7:]}": blob for blob in (manifest, config, layer)}
    content = {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": _json({"schemaVersion": 2, "manifests": [entry]}),
        **blobs,
    }
    partial = archive.with_suffix(".partial")
    try:
        with tarfile.open(partial, "w") as tar:
            for name, data in content.items():
                _add(tar, name, data, 0o644)
        partial.rename(archive)
    finally:
        partial.unlink(missing_ok=True)


def _layer(image: Image) -> bytes:
    out = io.BytesIO()
    parents = {parent.as_posix() for path in (*image.files, *image.links) for parent in Path(path).parents}
    folders = {**dict.fromkeys(parents - {"."}, 0o755), **image.folders}
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, mode in sorted(folders.items()):
            info = tarfile.TarInfo(path)
            info.type, info.mode = tarfile.DIRTYPE, mode
            tar.addfile(info)
        for path, source in sorted(image.files.items()):
            data = source.read_bytes() if isinstance(source, Path) else source.encode()
            _add(tar, path, data, 0o755 if path in image.executables else 0o644)
        for path, target in sorted(image.links.items()):
            info = tarfile.TarInfo(path)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return out.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), mode
    tar.addfile(info, io.BytesIO(data))


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
