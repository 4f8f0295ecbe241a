"""Which scenarios a run of a profile has."""

from __future__ import annotations

from collections.abc import Set

from velero_acceptance.core.settings import Profile

# Tag of scenarios that have the cluster to themselves.
EXCLUSIVE = "exclusive"

# Tag of scenarios that only judge what goes on beside the others from the first one on.
BESIDE = "beside"

PASSIVE = "passive"


def selected(tags: Set[str], own: Profile, profile: Profile) -> bool:
    """Whether a run of *profile* has a scenario with *tags*, of a criterion whose own profile is *own*.

    The profile it is tagged with counts, else its criterion's. What is @passive has nothing to add to a run that
    may write: there the other scenarios see more.
    """
    if PASSIVE in tags:
        return profile is Profile.OBSERVE
    tagged = [found for found in Profile if found.value in tags]
    return max((found.rank for found in tagged), default=own.rank) <= profile.rank
