"""Model Garden tasks, which define one training or validation step."""
