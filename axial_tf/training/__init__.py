"""Parts of a run: optimizers, checkpoints, strategies, workers, progress."""
