"""The S3 credentials: who can read them, what they give access to, and how they are rotated."""

import base64

from pytest_bdd import given, parsers, then, when

from fixtures.environment.cluster import TargetClients
from fixtures.environment.optional_systems import Tracer
from fixtures.environment.phrases import Recorder, holds, phrase, violated
from fixtures.environment.run_scope import Scope
from fixtures.environment.velero_health import VeleroHealth
from fixtures.storage.credentials import DeployedKeys, KeyRotation, S3Keys
from fixtures.storage.locations import Locations
from fixtures.storage.secret_search import SecretSearch
from velero_acceptance.checks import secret_exposure
from velero_acceptance.core.naming import is_generated_name
from velero_acceptance.core.settings import Environment
from velero_acceptance.core.timeouts import Timeouts
from velero_acceptance.drivers.kinds import ACCESS_REVIEW, CONFIG_MAP, POD, SECRET, SERVICE_ACCOUNT, name_of
from velero_acceptance.drivers.kubernetes import Kubernetes
from velero_acceptance.drivers.minio_admin import Users
from velero_acceptance.drivers.velero import Velero
from velero_acceptance.drivers.velero_server import AGENT, SERVER
from velero_acceptance.evidence.recorder import Evidence

STRANGER = "stranger"
FORBIDDEN = 403


@then("Velero and node-agent read the credentials from a file")
def mounted(velero: Velero, deployed_keys: DeployedKeys, evidence: Evidence) -> None:
    programs = {SERVER: velero.server_pods(), AGENT: velero.agent_pods()}
    pods = [pod for found in programs.values() for pod in found]
    problems = [
        problem
        for name, found in programs.items()
        for pod in found
        if (problem := secret_exposure.mount_problem(pod, name, deployed_keys.secret))
    ]
    assert all(programs.values()), f"only these pods run: {[name_of(pod) for pod in pods]}"
    evidence.observe(
        "mode of the credentials file", ", ".join({secret_exposure.file_mode(p, deployed_keys.secret) for p in pods})
    )
    evidence.measure("mounts_missing", len(problems), artefact="\n".join(problems) or "every pod mounts it")


@then(holds("no other pod in the cluster uses the Secret"))
@then(violated("the suite reports the pod as a foreign user of the Secret"))
def no_other_pod(
    record: Recorder, secret_search: SecretSearch, deployed_keys: DeployedKeys, evidence: Evidence
) -> None:
    foreign = secret_search.foreign_users(deployed_keys.secret)
    record(evidence, "mounts_by_other_pods", len(foreign), artefact=f"other pods that take the secret: {foreign}")


@then(holds("no argument, variable, log, event or object in the cluster contains the keys"))
@then(violated("the suite reports the key in the ConfigMap"))
def keys_nowhere(
    record: Recorder, secret_search: SecretSearch, deployed_keys: DeployedKeys, evidence: Evidence
) -> None:
    texts = secret_search.texts(deployed_keys.secret)
    found = secret_exposure.places(deployed_keys.material, texts)
    evidence.observe("objects and logs searched", len(texts))
    artefact = "\n".join(found) or f"searched: {len(texts)}, found: none"
    record(evidence, "exposed_keys", len(found), artefact=artefact)


@when(parsers.parse('a service account in "{alias}" tries to read the Secret'), target_fixture="read_attempt")
def read_elsewhere(
    kubernetes: Kubernetes, scope: Scope, environment: Environment, deployed_keys: DeployedKeys, alias: str
) -> tuple[bool, int]:
    """Return what an access review allows, and the status of a request with the account's real token."""
    namespace, secret, place = scope.name(alias), deployed_keys.secret, environment.velero_namespace
    kubernetes.create(SERVICE_ACCOUNT, {"metadata": {"name": STRANGER}}, namespace)
    what = {"namespace": place, "resource": "secrets", "name": secret, "verb": "get"}
    spec = {"user": f"system:serviceaccount:{namespace}:{STRANGER}", "resourceAttributes": what}
    review = kubernetes.create(ACCESS_REVIEW, {"metadata": {}, "spec": spec})
    status = kubernetes.status_for(STRANGER, namespace, SECRET, secret, place)
    return bool(review["status"]["allowed"]), status


@then("the API server refuses to show the Secret")
def read_refused(read_attempt: tuple[bool, int], evidence: Evidence) -> None:
    allowed, status = read_attempt
    artefact = f"review: allowed={allowed}, attempt: {status}"
    evidence.measure("unauthorized_reads_allowed", allowed + (status != FORBIDDEN), artefact=artefact)


@when("another pod uses the Secret")
def plant_pod(kubernetes: Kubernetes, scope: Scope, environment: Environment, deployed_keys: DeployedKeys) -> None:
    """A scheduling gate keeps the pod off every node: it need not run to be found."""
    name = scope.enter("pods", "planted")
    key = {"name": "KEYS", "valueFrom": {"secretKeyRef": {"name": deployed_keys.secret, "key": "cloud"}}}
    container = {"name": "planted", "image": environment.corpus_image, "env": [key]}
    spec = {"schedulingGates": [{"name": "velero-acceptance.io/planted"}], "containers": [container]}
    metadata = {"name": name, "labels": scope.labels}
    kubernetes.create(POD, {"metadata": metadata, "spec": spec}, environment.velero_namespace)


@when(parsers.parse('a ConfigMap in "{alias}" contains one of the keys'))
def plant_key(kubernetes: Kubernetes, scope: Scope, deployed_keys: DeployedKeys, alias: str) -> None:
    hidden = base64.b64encode(f"the key is {deployed_keys.keys.access_key}".encode()).decode()
    kubernetes.create(CONFIG_MAP, {"metadata": {"name": "notes"}, "data": {"note": hidden}}, scope.name(alias))


@then("Velero signs its S3 requests with the key of its Secret")
def signs_with_secret(target: TargetClients, deployed_keys: DeployedKeys, s3_trace: Tracer, evidence: Evidence) -> None:
    """Seen at its next validation. A request signed with neither this key nor the suite's own is a wrong one."""
    environment = target.environment
    with s3_trace() as trace:
        trace.wait_for("GET", f"/{environment.bucket}", timeout=target.timeouts["location_phase"])
    known = (deployed_keys.keys.access_key, environment.s3.access_key.get_secret_value())
    strange = sum(s.access_key not in known and not is_generated_name(s.access_key) for s in trace.requests)
    evidence.measure("requests_with_other_keys", strange, artefact=f"requests seen: {len(trace.requests)}")
    evidence.measure("locations_available", int(target.velero.location()["status"]["phase"] == "Available"))


@then("that key has no access to another bucket")
def one_bucket(
    foreign_bucket: str, environment: Environment, deployed_keys: DeployedKeys, timeouts: Timeouts, evidence: Evidence
) -> None:
    allowed = deployed_keys.keys.allowed_at(foreign_bucket, environment, timeouts)
    evidence.measure("foreign_bucket_requests_allowed", len(allowed), artefact=f"allowed elsewhere: {allowed}")


@given("a key with access to every bucket", target_fixture="wide_key")
def wide_key(environment: Environment, s3_administrator: Users) -> S3Keys:
    """The suite's own key, which Velero's policy does not restrict."""
    access = environment.s3
    return S3Keys(access.access_key.get_secret_value(), access.secret_key.get_secret_value())


@given("the key of Velero's Secret", target_fixture="wide_key")
def narrow_key(deployed_keys: DeployedKeys) -> S3Keys:
    return deployed_keys.keys


@then("the suite reports that this key has access to another bucket")
def other_bucket_reported(
    foreign_bucket: str, environment: Environment, wide_key: S3Keys, timeouts: Timeouts, evidence: Evidence
) -> None:
    allowed = wide_key.allowed_at(foreign_bucket, environment, timeouts)
    evidence.expect_violation("foreign_bucket_requests_allowed", len(allowed), artefact=f"allowed elsewhere: {allowed}")


@when(
    phrase("a location is created with {right:Key}", Key={"the right key": True, "a wrong key": False}),
    target_fixture="location",
)
def create_location(locations: Locations, deployed_keys: DeployedKeys, velero_health: VeleroHealth, right: bool) -> str:
    velero_health.allow_errors(
        r"InvalidAccessKeyId|SignatureDoesNotMatch|available/unavailable/unknown|is in unavailable state"
    )
    keys = deployed_keys.keys if right else S3Keys("nobodys-access-key", "nobodys-secret-key")
    credential = locations.credential("location", keys.access_key, keys.secret_key)
    return locations.make("location", credential=credential)


@then("Velero reports that location as Unavailable because of its key")
def wrong_key_reported(locations: Locations, location: str, evidence: Evidence) -> None:
    status = locations.wait_validated(location)["status"]
    evidence.expect_violation("locations_available", int(status["phase"] == "Available"), artefact=str(status))
    message = status.get("message", "")
    assert "SignatureDoesNotMatch" in message or "InvalidAccessKeyId" in message, message


@when("new keys are committed to Git")
def commit_new_keys(key_rotation: KeyRotation, new_keys: S3Keys) -> None:
    key_rotation.commit(new_keys)


@then("Velero signs its S3 requests with the new key")
def signs_with_new_key(key_rotation: KeyRotation, new_keys: S3Keys, evidence: Evidence) -> None:
    seconds = key_rotation.wait_used(new_keys)
    evidence.observe("from the commit to the first request with the new key", seconds, "s")


@then("Velero validates the location with the new key")
def available_by_new_key(key_rotation: KeyRotation, velero: Velero, new_keys: S3Keys, evidence: Evidence) -> None:
    velero.wait_location("Available", validated_after=key_rotation.used_at)
    evidence.measure("locations_available", 1, artefact=f"validated after {key_rotation.used_at}")
    evidence.measure("requests_with_other_keys", key_rotation.others_after_use(new_keys))
