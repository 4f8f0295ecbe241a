"""What the API server's admission refuses: policies, Pod Security, quotas. Such an answer is no missing right.

Sources: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/,
https://kubernetes.io/docs/concepts/security/pod-security-admission/, https://kubernetes.io/docs/concepts/policy/resource-quotas/.
"""

import re

REFUSALS = re.compile(
    r"""ValidatingAdmissionPolicy\ '.*denied\ request.*
    | admission\ webhook\ ".*denied\ the\ request.*
    | violates\ PodSecurity\ .*
    | (exceeded|failed)\ quota:.*
    | (minimum|maximum)\ \S+\ usage\ per\ .*""",
    re.VERBOSE | re.DOTALL,
)


def refusal(message: str) -> str:
    """The words of the policy, webhook or quota in an answer of the API server; empty when it was none of these."""
    found = REFUSALS.search(message)
    return found[0].strip() if found else ""
