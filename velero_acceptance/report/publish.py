"""The upload of a finished run's folder to S3, and where it may go."""

import mimetypes
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from velero_acceptance.core.errors import AcceptanceError, Refusal
from velero_acceptance.core.settings import Environment, S3Access, Settings
from velero_acceptance.drivers.s3 import client_of
from velero_acceptance.report.folders import JSON

ADDRESS = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[^/\s@]+)*)/?")
AT_ONCE = 4
TYPES = {".prom": "text/plain", ".jsonl": "application/json-lines", ".md": "text/markdown", ".log": "text/plain"}


@dataclass(frozen=True)
class Destination:
    """The destination of one run's folder: a bucket, a prefix that ends with the run's id and a slash, and the keys."""

    bucket: str
    folder: str
    access: S3Access

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.folder}"


def destination(settings: Settings, environment: Environment) -> Destination | None:
    """The destination in ACCEPTANCE_RESULTS, or None; Refusal for a bad address, or one in Velero's location."""
    place = parse(settings)
    if place is None:
        return None
    bucket, prefix = place
    found = Destination(bucket, f"{prefix}{settings.run_id}/", _access(settings, environment.s3))
    refuse_locations(found, [(environment.location, environment.bucket, environment.prefix)])
    return found


def parse(settings: Settings) -> tuple[str, str] | None:
    """Bucket and prefix of ACCEPTANCE_RESULTS, or None; Refusal, which never shows the value, if it is invalid."""
    if settings.results is None:
        return None
    found = ADDRESS.fullmatch(settings.results.get_secret_value())
    if found is None:
        raise Refusal("ACCEPTANCE_RESULTS is not an address such as s3://bucket/prefix")
    if (settings.results_access_key is None) != (settings.results_secret_key is None):
        raise Refusal("ACCEPTANCE_RESULTS_ACCESS_KEY and ACCEPTANCE_RESULTS_SECRET_KEY belong together: set both")
    if settings.results_authority and not settings.results_authority.is_file():
        raise Refusal(f"the authority {settings.results_authority} of ACCEPTANCE_RESULTS_AUTHORITY is not there")
    return found[1], f"{found[2][1:]}/" if found[2] else ""


def refuse_locations(found: Destination, locations: Iterable[tuple[str, str, str]]) -> None:
    """Raise Refusal when the folder would be in one of Velero's *locations* (name, bucket, prefix).

    Velero refuses a location with foreign folders and makes no more backups there. Buckets are compared by name alone:
    one S3 can have several addresses.
    """
    for name, bucket, prefix in locations:
        inside = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        if bucket == found.bucket and found.folder.startswith(inside):
            below = f"below {inside} in the bucket" if inside else "in the bucket"
            raise Refusal(
                f"ACCEPTANCE_RESULTS lies {below} {bucket}, which is Velero's own location {name}: "
                "Velero would call it invalid, so name another prefix or another bucket"
            )


def upload(folder: Path, found: Destination, *, call_seconds: float) -> str:
    """Upload every file of *folder*; return the destination in one sentence.

    traceability.json comes last: where it is, everything is. Raises AcceptanceError at the first file that S3 does not
    accept within *call_seconds*.
    """
    client = client_of(found.access, call_seconds=call_seconds)

    def put(path: Path) -> None:
        kind = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        # One call a file: a multipart upload that fails would leave its parts in the bucket.
        key = f"{found.folder}{path.relative_to(folder).as_posix()}"
        client.put_object(Bucket=found.bucket, Key=key, Body=path.read_bytes(), ContentType=kind)

    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / JSON]
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for done in [pool.submit(put, path) for path in files]:
                try:
                    done.result()
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
        put(folder / JSON)
    except (ClientError, BotoCoreError, OSError) as error:
        raise AcceptanceError(
            f"the results could not be uploaded to {found} at {found.access.endpoint} ({error}); they are in {folder}"
        ) from None
    return f"results: {found} ({len(files) + 1} files)"


def _access(settings: Settings, target: S3Access) -> S3Access:
    """The access to the S3 of the results: endpoint and authority belong together, and so do the keys."""
    change: dict[str, object] = {}
    if settings.results_endpoint:
        change |= {"endpoint": settings.results_endpoint, "authority": settings.results_authority}
    elif settings.results_authority:
        change |= {"authority": settings.results_authority}
    if settings.results_access_key:
        change |= {"access_key": settings.results_access_key, "secret_key": settings.results_secret_key}
    return target.model_copy(update=change)
