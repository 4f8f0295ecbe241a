"""One module a real system: typed calls, no assertions, no pytest."""
