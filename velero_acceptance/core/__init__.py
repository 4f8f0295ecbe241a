"""What every room needs: errors, settings, names, timeouts, waiting, running programs and writing files."""
