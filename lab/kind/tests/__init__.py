"""The kind target on a real cluster: minutes, and several gigabytes."""
