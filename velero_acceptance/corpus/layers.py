"""The layer that caused each difference: one plan compared with the volume, the repository and the restored volume."""

from collections import Counter
from dataclasses import dataclass

from velero_acceptance.corpus.differences import SHOWN, Difference, PathChange
from velero_acceptance.corpus.manifest import Manifest

VOLUME = "different already in the volume that was backed up"
UPLOADER = "different by the uploader, with Velero and without"
VELERO = "different by Velero alone"
# The folder of what needs a right or a file system that a volume may not have.
OPTIONAL = "where supported/"
READING = "different by the uploader on this machine alone"
LAYERS = (VOLUME, UPLOADER, VELERO, READING)


@dataclass(frozen=True)
class Layers:
    """One plan, compared with the *volume*, with a restore from its *repository* alone, and with Velero's restore."""

    volume: Difference
    repository: Difference
    restored: Difference
    # Paths of OPTIONAL that the volume does not hold, and that are not compared.
    untested: tuple[str, ...] = ()

    @staticmethod
    def of(plan: Manifest, volume: Manifest, repository: Manifest, restored: Manifest) -> "Layers":
        """The three compared with *plan*; where the volume refused something of OPTIONAL, that is left out of all."""
        changed = {finding.path for finding in plan.compare(volume).findings}
        untested = tuple(sorted(path for path in changed if path.startswith(OPTIONAL)))
        expected = plan.without(untested)
        there, kept, back = (expected.compare(m.without(untested)) for m in (volume, repository, restored))
        return Layers(there, kept, back, untested)

    def blame(self) -> list[tuple[str, PathChange]]:
        """Every finding once, with the first layer in which it occurs."""
        volume, repository, restored = (
            {(finding.path, finding.what): finding for finding in difference.findings}
            for difference in (self.volume, self.repository, self.restored)
        )
        blamed = []
        for key, finding in {**restored, **repository, **volume}.items():
            if key in volume:
                layer = VOLUME
            elif key in repository:
                layer = UPLOADER if key in restored else READING
            else:
                layer = VELERO
            blamed.append((layer, finding))
        return sorted(blamed, key=lambda pair: (LAYERS.index(pair[0]), pair[1].path, pair[1].what))

    def counts(self) -> dict[str, int]:
        """Undocumented findings of each layer; all of the volume's, since what it never had was not tested."""
        found = Counter(layer for layer, finding in self.blame() if finding.known is None or layer == VOLUME)
        return {layer: found[layer] for layer in LAYERS}

    def table(self) -> str:
        """The findings of each layer, documented or not."""
        lines = []
        for layer in LAYERS:
            findings = [finding for place, finding in self.blame() if place == layer]
            lines.append(f"{layer}: {len(findings)}")
            lines += [f"  {finding}" for finding in findings[:SHOWN]]
        return "\n".join(lines)
