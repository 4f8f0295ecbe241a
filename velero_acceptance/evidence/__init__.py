"""What scenarios measured, kept as they run, and the verdicts that follow."""
