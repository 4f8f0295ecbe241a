"""The test data: what a volume must hold, what it holds, and which differences are known deviations."""
