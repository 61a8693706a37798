"""Top-1 and top-5 accuracy of a classifier, and the accuracy of each class.

A step finds how many classes come ahead of the true one and counts images on
its device; reading the counts adds up the devices, of other workers as well. So
the figures are exact, whatever the batches and replicas into which the images
were divided.
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


class TopK(tf.keras.metrics.Metric):
  """Counts of right answers, class by class, and the mean cross-entropy.

  Counts are exact up to 16 million images of a class.
  """

  def __init__(self, spec: class_spec.ClassSpec, name: str = 'top1'):
    super().__init__(name=name, dtype=tf.float32)
    self._spec = spec
    classes = [spec.num_classes]
    self._images = self.add_weight('images', classes, initializer='zeros')
    # Of each class, the images whose true class is among the first 1 and 5.
    self._right1 = self.add_weight('right1', classes, initializer='zeros')
    self._right5 = self.add_weight('right5', classes, initializer='zeros')
    self._loss = self.add_weight('loss', initializer='zeros')

  def update_state(self, labels: tf.Tensor, ranks: tf.Tensor,
                   losses: tf.Tensor) -> None:
    """Adds images.

    Args:
      labels: int [batch].
      ranks: int [batch], what `ranks` has found for them.
      losses: float [batch], their cross-entropy.
    """
    of_class = tf.one_hot(labels, self._spec.num_classes)
    self._images.assign_add(tf.reduce_sum(of_class, 0))
    for k, right in ((1, self._right1), (5, self._right5)):
      is_right = tf.cast(ranks < k, tf.float32)[:, tf.newaxis]
      right.assign_add(tf.reduce_sum(of_class * is_right, 0))
    self._loss.assign_add(tf.reduce_sum(tf.cast(losses, tf.float32)))

  def reset_state(self) -> None:
    """Forgets all images; that of Keras is for scalars alone."""
    for variable in self.variables:
      variable.assign(tf.zeros(variable.shape))

  def result(self) -> tf.Tensor:
    """Returns the top-1 accuracy in 0..1; 0 without images."""
    return tf.math.divide_no_nan(
        tf.reduce_sum(self._right1), tf.reduce_sum(self._images))

  def scores(self) -> Dict[str, float]:
    """Returns 'top1', 'top5' (in 0..1) and the mean 'cross_entropy'.

    Without images they are 0; 'top5' is left out with 5 classes or fewer.
    """
    images = max(1, self.num_images)
    scores = {
        f'top{k}': float(np.sum(right.numpy(), dtype=np.float64) / images)
        for k, right in ((1, self._right1), (5, self._right5))
        if k < self._spec.num_classes}
    return {**scores, 'cross_entropy': float(self._loss.numpy() / images)}

  @property
  def num_images(self) -> int:
    return int(np.sum(self._images.numpy(), dtype=np.float64))

  def format_table(self) -> str:
    """Returns lines for a terminal: all classes, and the least right ones."""
    figures = '  '.join(
        f'top-{key[3:]} {100 * value:.2f} %'
        for key, value in self.scores().items() if key.startswith('top'))
    lines = [f'{self.num_images} images: {figures}']
    images = self._images.numpy()
    present = list(np.flatnonzero(images))
    accuracy = self._right1.numpy() / np.maximum(1, images)
    present.sort(key=lambda label: accuracy[label])
    if len(present) > _SHOWN:
      lines.append(f'the {_SHOWN} least right of {len(present)} classes:')
    lines += [f'{100 * accuracy[label]:7.2f}  {self._spec.classes[label].name}'
              for label in present[:_SHOWN]]
    return '\n'.join(lines)
