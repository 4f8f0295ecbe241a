"""The cluster under test: which one, its lock, and what runs create and change there."""
