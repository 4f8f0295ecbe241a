"""Backups as Velero writes them to a bucket: archive, lists of volumes, list of objects."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from typing import Any

from tests.fake_cluster import FakeBucket
from velero_acceptance.drivers.kinds import Json, name_of, namespace_of

Objects = Mapping[str, Iterable[Json]]


class CountingBucket(FakeBucket):
    """A bucket that notes what is read of it."""

    def __init__(self, contents: Mapping[str, bytes] | None = None) -> None:
        super().__init__(contents)
        self.requests: list[str] = []

    def get(self, key: str) -> bytes:
        self.requests.append(key)
        return super().get(key)

    def folders(self, prefix: str) -> set[str]:
        self.requests.append(prefix)
        return super().folders(prefix)

    def _list(self, prefix: str) -> list[Any]:
        self.requests.append(f"all of {prefix}")
        return super()._list(prefix)


def packed(objects: Objects) -> bytes:
    """An archive with the namespaced *objects* by resource, each twice as Velero has them."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz", compresslevel=1) as archive:
        for resource, items in objects.items():
            for item in items:
                for folder in ("", "v1-preferredversion/"):
                    path = f"resources/{resource}/{folder}namespaces/{namespace_of(item)}/{name_of(item)}.json"
                    text = json.dumps(item).encode()
                    member = tarfile.TarInfo(path)
                    member.size = len(text)
                    archive.addfile(member, io.BytesIO(text))
    return content.getvalue()


def backup_contents(
    folder: str, name: str, objects: Objects, volume_backups: Iterable[Json], volume_info: Iterable[Json]
) -> dict[str, bytes]:
    """The objects of the bucket that make up a backup; *folder* ends in a slash."""
    listed = {
        f"v1/{resource}": [f"{namespace_of(i)}/{name_of(i)}" for i in items] for resource, items in objects.items()
    }
    lists: dict[str, object] = {
        "podvolumebackups": list(volume_backups) or None,
        "volumeinfo": list(volume_info) or None,
        "resource-list": listed,
    }
    files = {f"{folder}{name}-{key}.json.gz": gzip.compress(json.dumps(one).encode(), 1) for key, one in lists.items()}
    return {f"{folder}{name}.tar.gz": packed(objects), **files}
