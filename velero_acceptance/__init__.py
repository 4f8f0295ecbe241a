"""The library behind the acceptance suite: drivers, waiting, evidence, verdicts, reports."""

__version__ = "0.1.0"
