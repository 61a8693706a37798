"""Top-1 and top-5 accuracy of a classifier, and the accuracy of each class.

A step finds on the device how many classes come ahead of the true one; the
host counts images. So the figures are exact, whatever the batches and replicas
into which the images were divided.
"""

from typing import Dict

import numpy as np
import tensorflow as tf

from axial_tf.data import class_spec

_SHOWN = 20


def ranks(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
  """Counts the classes that a classifier prefers to the true one.

  Of equal logits the smaller label comes first, as in argmax. Where a logit is
  NaN, all classes count: such an image is never right.

  Args:
    logits: float [batch, classes].
    labels: int [batch], 0..classes - 1.

  Returns:
    int32 [batch], 0 for a right answer.
  """
  classes = tf.shape(logits)[1]
  true = tf.gather(logits, labels, axis=1, batch_dims=1)[:, tf.newaxis]
  is_smaller = tf.range(classes) < tf.cast(labels, tf.int32)[:, tf.newaxis]
  ahead = (logits > true) | ((logits == true) & is_smaller)
  found = tf.reduce_sum(tf.cast(ahead, tf.int32), axis=1)
  is_number = ~tf.reduce_any(tf.math.is_nan(logits), axis=1)
  return tf.where(is_number, found, classes)


class TopK:
  """Counts of right answers, class by class."""

  def __init__(self, spec: class_spec.ClassSpec):
    self._spec = spec
    self._images = np.zeros([spec.num_classes], np.int64)
    # Of each class, the images whose true class is among the first 1 and 5.
    self._right = {k: self._images.copy() for k in (1, 5)}

  def add(self, labels: np.ndarray, ranks: np.ndarray) -> None:
    """Adds images.

    Args:
      labels: int [batch].
      ranks: int [batch], what `ranks` has found for them.
    """
    np.add.at(self._images, labels, 1)
    for k, right in self._right.items():
      np.add.at(right, labels, ranks < k)

  @property
  def num_images(self) -> int:
    return int(self._images.sum())

  def result(self) -> Dict[str, float]:
    """Returns 'top1', and 'top5' with more than 5 classes, in 0..1.

    Without images they are 0.
    """
    images = max(1, self.num_images)
    return {f'top{k}': float(right.sum() / images)
            for k, right in self._right.items() if k < self._spec.num_classes}

  def format_table(self) -> str:
    """Returns lines for a terminal: all classes, and the least right ones."""
    figures = '  '.join(f'top-{key[3:]} {100 * value:.2f} %'
                        for key, value in self.result().items())
    lines = [f'{self.num_images} images: {figures}']
    present = [label for label in range(self._spec.num_classes)
               if self._images[label]]
    accuracy = self._right[1] / np.maximum(1, self._images)
    present.sort(key=lambda label: accuracy[label])
    if len(present) > _SHOWN:
      lines.append(f'the {_SHOWN} least right of {len(present)} classes:')
    lines += [f'{100 * accuracy[label]:7.2f}  {self._spec.classes[label].name}'
              for label in present[:_SHOWN]]
    return '\n'.join(lines)
