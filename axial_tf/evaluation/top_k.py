"""Computes a classifier's top-1 and top-5 accuracy, and that of each class.

A step computes how many classes rank above the true one; the host counts. The
sums are exact, whatever the batches, replicas and workers into which the images
were divided.
"""

import math
from typing import Dict, List

import numpy as np
import tensorflow as tf

from axial_tf.specs import class_spec

_SHOWN = 20


def ranks(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
  """Counts the classes that a classifier prefers to the true one.

  Of equal logits the smaller label comes first, as in argmax. Where a logit is
  NaN, all classes count: such an image never counts as correct.

  Args:
    logits: float [batch, classes].
    labels: int [batch], 0..classes - 1.

  Returns:
    int32 [batch], 0 for a correct prediction.
  """
  classes = tf.shape(logits)[1]
  true = tf.gather(logits, labels, axis=1, batch_dims=1)[:, tf.newaxis]
  is_smaller = tf.range(classes) < tf.cast(labels, tf.int32)[:, tf.newaxis]
  ahead = (logits > true) | ((logits == true) & is_smaller)
  found = tf.reduce_sum(tf.cast(ahead, tf.int32), axis=1)
  is_number = ~tf.reduce_any(tf.math.is_nan(logits), axis=1)
  return tf.where(is_number, found, classes)


class TopK:
  """Counts correct predictions by class, and averages the cross-entropy."""

  def __init__(self, spec: class_spec.ClassSpec):
    self._spec = spec
    self._images = np.zeros([spec.num_classes], np.int64)
    # Per class: the images whose true class is among the first k.
    self._right = {k: np.zeros_like(self._images) for k in (1, 5)}
    self._losses: List[float] = []

  def add(self, labels: np.ndarray, ranks: np.ndarray, losses: np.ndarray
          ) -> None:
    """Adds images.

    Args:
      labels: int [batch].
      ranks: int [batch], result of `ranks` for them.
      losses: float [batch], their cross-entropy.
    """
    np.add.at(self._images, labels, 1)
    for k, right in self._right.items():
      np.add.at(right, labels[ranks < k], 1)
    self._losses += losses.tolist()

  def merge(self, other: 'TopK') -> None:
    """Adds what another process has counted for other images."""
    self._images += other._images
    for k, right in self._right.items():
      right += other._right[k]
    self._losses += other._losses

  def scores(self) -> Dict[str, float]:
    """Returns 'top1', 'top5' (in 0..1) and the mean 'cross_entropy'.

    Without images they are 0; 'top5' is left out with 5 classes or fewer.
    """
    images = max(1, self.num_images)
    scores = {
        f'top{k}': int(right.sum()) / images
        for k, right in self._right.items() if k < self._spec.num_classes}
    # Unlike a running sum, it does not depend on the order.
    return {**scores, 'cross_entropy': math.fsum(self._losses) / images}

  @property
  def num_images(self) -> int:
    return int(self._images.sum())

  def format_table(self) -> str:
    """Returns lines for a terminal: overall, and the least accurate classes."""
    figures = '  '.join(
        f'top-{key[3:]} {100 * value:.2f} %'
        for key, value in self.scores().items() if key.startswith('top'))
    lines = [f'{self.num_images} images: {figures}']
    present = list(np.flatnonzero(self._images))
    accuracy = self._right[1] / np.maximum(1, self._images)
    present.sort(key=lambda label: accuracy[label])
    if len(present) > _SHOWN:
      lines.append(f'the {_SHOWN} least accurate of {len(present)} classes:')
    lines += [f'{100 * accuracy[label]:7.2f}  {self._spec.classes[label].name}'
              for label in present[:_SHOWN]]
    return '\n'.join(lines)
