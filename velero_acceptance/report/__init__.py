"""The traceability report: every row of the register with what was seen of it."""
