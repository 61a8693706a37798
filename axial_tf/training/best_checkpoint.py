"""Keeps the checkpoint of a run's best validation, in a separate folder.

The Model Garden's exporter does the same for a single worker.
"""

import json
import os
import tempfile
from typing import Any, Mapping, Optional

import tensorflow as tf

from axial_tf.files import atomic_files
from axial_tf.training import exchange

_CHECKPOINT = 'best_ckpt'
_FIGURES = 'info.json'


class BestCheckpoint:
  """A checkpoint exporter for the Model Garden's trainer.

  Attributes:
    best_ckpt_logs: metrics of the best validation so far, None before the
      first one.
  """

  def __init__(self, folder: str, metric: str):
    """Loads the best metrics of an earlier part of the run.

    Args:
      folder: folder of the checkpoint and its metrics; created when needed.
      metric: name of the metric that selects the best; more is better.
    """
    self._folder = folder
    self._metric = metric
    self._manager: Optional[tf.train.CheckpointManager] = None
    self._temporary: Optional[tempfile.TemporaryDirectory] = None
    self.best_ckpt_logs = exchange.of_chief(self._read())

  def _read(self):
    path = os.path.join(self._folder, _FIGURES)
    if not tf.io.gfile.exists(path):
      return None
    with tf.io.gfile.GFile(path) as file:
      return json.loads(file.read())

  def maybe_export_checkpoint(
      self, checkpoint: tf.train.Checkpoint, eval_logs: Mapping[str, Any],
      global_step: int) -> bool:
    """Saves a checkpoint whose validation is the best; returns whether it is.

    The metrics are the same on all workers, so all of them act alike.
    """
    figures = {name: float(value) for name, value in eval_logs.items()}
    best = self.best_ckpt_logs
    if best is not None and not figures[self._metric] > best[self._metric]:
      return False
    self.best_ckpt_logs = figures
    self._checkpoint_manager(checkpoint).save()
    if not self._temporary:
      content = {**figures, 'best_ckpt_global_step': float(global_step)}
      atomic_files.write(
          os.path.join(self._folder, _FIGURES),
          (json.dumps(content, indent=4) + '\n').encode())
    return True

  def _checkpoint_manager(self, checkpoint) -> tf.train.CheckpointManager:
    if self._manager is None:
      folder = self._folder
      if not tf.distribute.get_strategy().extended.should_checkpoint:
        # Reading the variables takes all workers; one of them keeps the file.
        self._temporary = tempfile.TemporaryDirectory()
        folder = self._temporary.name
      self._manager = tf.train.CheckpointManager(
          checkpoint, folder, max_to_keep=1, checkpoint_name=_CHECKPOINT)
    return self._manager
