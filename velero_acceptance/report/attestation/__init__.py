"""Signed evidence: what a run found and the digests of its files, in the envelope of in-toto attestations."""
