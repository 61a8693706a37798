"""A few fixed validation images in TensorBoard: what the model makes of them.

They are the first ones of the validation records, whose order never changes,
so that a slider goes through the same image at all validations.
"""

from typing import Any, Dict, Mapping, Optional, Sequence

import numpy as np
import tensorflow as tf

from axial_tf import visualize
from axial_tf.data import dataset_spec
from axial_tf.models import panoptic_inference
from axial_tf.training import picture_sizes

# What a validation step must return, besides sizes and maps, for pictures.
HEAD_KEYS = ('image', 'center_heatmap', 'offset')
_KEYS = HEAD_KEYS + (
    'panoptic', 'prediction', 'height', 'width', 'raw_height', 'raw_width')


class ValidationPictures:
  """Draws the first images of one validation and writes them as summaries."""

  def __init__(self, spec: dataset_spec.DatasetSpec, count: int):
    """Begins a validation.

    Args:
      spec: of the labels.
      count: images to draw. None are drawn where no summaries are recorded,
        or by a worker that is not the chief.
    """
    strategy = tf.distribute.get_strategy()
    is_wanted = (strategy.extended.should_save_summary
                 and bool(tf.summary.should_record_summaries()))
    self._spec = spec
    self._missing = count if is_wanted else 0
    self._drawn = []

  def add(self, step_logs: Mapping[str, Sequence[tf.Tensor]]) -> None:
    """Draws images of one validation step as long as some are missing.

    Args:
      step_logs: of each replica, tensors with a batch axis: uint8 'image',
        padded from 'height' and 'width'; float32 'center_heatmap' and
        'offset' and int32 'prediction' of its size; int32 'panoptic', the
        ground truth, padded from 'raw_height' and 'raw_width'.
    """
    if not self._missing:
      return
    for replica in zip(*(step_logs[key] for key in _KEYS)):
      # Only what is drawn leaves the device.
      for index in range(min(self._missing, replica[0].shape[0])):
        self._drawn.append(self._draw({
            key: tensor[index].numpy() for key, tensor in zip(_KEYS, replica)}))
        self._missing -= 1

  def write(self, step: Optional[int]) -> None:
    """Writes what was drawn to the default summary writer.

    Args:
      step: of the validation; None for the default step.
    """
    for number, pictures in enumerate(self._drawn, 1):
      for name, picture in pictures.items():
        tf.summary.image(f'{name}/{number}', picture[np.newaxis], step=step)
    self._drawn = []

  def _draw(self, image: Dict[str, Any]) -> Dict[str, np.ndarray]:
    """Returns the two pictures of an image by name, uint8 RGB."""
    seen = tuple(int(image[key]) for key in ('height', 'width'))
    raw = tuple(int(image[key]) for key in ('raw_height', 'raw_width'))
    shown = picture_sizes.shown_size(*raw)

    def resized(key, size=seen):
      return panoptic_inference.to_raw_size(
          image[key][:size[0], :size[1]], *shown)

    pixels = picture_sizes.resize_image(
        image['image'][:seen[0], :seen[1]], *shown)
    truth, prediction = resized('panoptic', raw), resized('prediction')
    offset = picture_sizes.resize_offset(
        image['offset'][:seen[0], :seen[1]], *shown)
    is_thing = np.isin(
        prediction // self._spec.label_divisor, self._spec.thing_ids)
    return {
        'segments': visualize.side_by_side(
            [pixels,
             visualize.panoptic_overlay(pixels, truth, self._spec, labels=True),
             visualize.panoptic_overlay(
                 pixels, prediction, self._spec, labels=True),
             visualize.error_map(pixels, truth, prediction, self._spec)],
            ['image', 'ground truth', 'prediction', 'errors']),
        'heads': visualize.side_by_side(
            [visualize.center_heatmap(pixels, resized('center_heatmap')),
             visualize.offset_wheel(pixels, offset, is_thing)],
            ['centers', 'offsets']),
    }
