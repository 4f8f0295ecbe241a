"""What the tags of a scenario mean for a run: its profile, and how it shares the cluster and the workers."""

from collections.abc import Iterable, Set

from velero_acceptance.core.settings import Profile

# Has the cluster to itself.
EXCLUSIVE = "exclusive"
# Uses a second Velero: the deployed one does not matter to it.
OWN_VELERO = "own-velero"
# Waits for minutes: starts first, and has a longer timeout.
LONG = "long"
# Only observes.
PASSIVE = "passive"
# Of a feature: its scenarios share their set-up with other features of the same tag.
SHARED = "shares-"


def selected(tags: Set[str], own: Profile, profile: Profile) -> bool:
    """Whether a run of *profile* includes a scenario with *tags*, of a criterion whose own profile is *own*.

    Its tag decides, else its criterion's profile. A @passive scenario adds nothing to a run that may write, whose other
    scenarios test more.
    """
    if PASSIVE in tags:
        return profile is Profile.OBSERVE
    tagged = [found for found in Profile if found.value in tags]
    return max((found.rank for found in tagged), default=own.rank) <= profile.rank


def shared_with(tags: Iterable[str]) -> str | None:
    """The tag by which a feature shares its set-up with others."""
    return next((tag for tag in tags if tag.startswith(SHARED)), None)
