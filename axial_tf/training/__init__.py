"""Optimizers, the run itself, checkpoints and progress."""
