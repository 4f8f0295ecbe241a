"""The files of a backup in S3, from which Velero restores it, whether its cluster still exists or not."""

import io
import json
import tarfile
from functools import cached_property

from velero_acceptance.drivers.kinds import Json
from velero_acceptance.drivers.s3 import Bucket


class BackupFiles:
    """Each file is read once, when it is needed; a missing one is an AcceptanceError, a broken one a ValueError."""

    def __init__(self, bucket: Bucket, folder: str, name: str) -> None:
        self._bucket, self._start = bucket, f"{folder}{name}"

    def resource_list(self) -> dict[str, list[str]]:
        """The names of the objects (``namespace/name``) by kind (``apps/v1/Deployment``)."""
        found: dict[str, list[str]] = self._bucket.json(f"{self._start}-resource-list.json.gz")
        return found

    @cached_property
    def volume_info(self) -> list[Json]:
        """What Velero says of each volume: how it was backed up, or why not."""
        return self._list("volumeinfo")

    @cached_property
    def volume_backups(self) -> list[Json]:
        """Its PodVolumeBackups, as they were when it ended."""
        return self._list("podvolumebackups")

    def _list(self, name: str) -> list[Json]:
        # Velero writes an empty list as null.
        return list(self._bucket.json(f"{self._start}-{name}.json.gz") or [])

    @cached_property
    def archive(self) -> dict[str, bytes]:
        """The objects as JSON, by their path in the archive (``resources/pods/namespaces/database/books-0.json``)."""
        key = f"{self._start}.tar.gz"
        try:
            with tarfile.open(fileobj=io.BytesIO(self._bucket.read(key))) as archive:
                files = ((member.name, archive.extractfile(member)) for member in archive)
                return {name.removeprefix("./"): file.read() for name, file in files if file is not None}
        except (tarfile.TarError, EOFError) as error:
            raise ValueError(f"{key} is no archive: {error}") from None

    def objects(self, resource: str) -> list[Json]:
        """The namespaced objects of a *resource* such as ``pods`` or ``deployments.apps``."""
        start = f"resources/{resource}/namespaces/"
        return [json.loads(content) for path, content in self.archive.items() if path.startswith(start)]
