"""Earlier home of the client, kept for existing scripts."""
