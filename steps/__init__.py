"""What each phrase of a feature does: a sentence of fixtures and drivers, no client, no wait of its own."""
