"""The library behind the acceptance suite: drivers, waiting, evidence, verdicts, reports."""
