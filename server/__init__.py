"""Who asks, how bytes travel, and where the data lives."""
