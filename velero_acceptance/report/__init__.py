"""The traceability report: every criterion of the register with its evidence."""
