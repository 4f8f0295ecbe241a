"""The command `acceptance`: checks of the suite, the target, reports, the lab."""
