"""What the tags of a scenario mean for a run: its profile, its place on the cluster, its place among the workers."""

from __future__ import annotations

from collections.abc import Iterable, Set

from velero_acceptance.core.settings import Profile

# Has the cluster to itself.
EXCLUSIVE = "exclusive"
# Has a Velero of its own: what happens to the deployed one meanwhile does not concern it.
OWN_VELERO = "own-velero"
# Waits for minutes: begun first, and given more time.
LONG = "long"
# Only looks at what is there.
PASSIVE = "passive"
# Of a feature: its scenarios share their set-up with other features of the same tag.
SHARED = "shares-"


def selected(tags: Set[str], own: Profile, profile: Profile) -> bool:
    """Whether a run of *profile* has a scenario with *tags*, of a criterion whose own profile is *own*.

    The profile it is tagged with counts, else its criterion's. What is @passive has nothing to add to a run that
    may write: there the other scenarios see more.
    """
    if PASSIVE in tags:
        return profile is Profile.OBSERVE
    tagged = [found for found in Profile if found.value in tags]
    return max((found.rank for found in tagged), default=own.rank) <= profile.rank


def shared_with(tags: Iterable[str]) -> str | None:
    """The tag by which a feature shares its set-up with others."""
    return next((tag for tag in tags if tag.startswith(SHARED)), None)
