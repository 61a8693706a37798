"""Model Garden tasks: what one training or validation step does."""
