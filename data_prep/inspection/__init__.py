"""Statistics and checks of written shards."""
