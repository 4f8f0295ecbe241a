"""Seeded faults of the deployed system, and whether the suite turns red for each."""
