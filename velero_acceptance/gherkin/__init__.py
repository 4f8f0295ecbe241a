"""Feature files: parsed, linted, and selected by tags."""
