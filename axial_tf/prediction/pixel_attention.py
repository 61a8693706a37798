"""Draws what a pixel of an image attends to in a model of a training run."""

from typing import Optional, Tuple

import numpy as np
import tensorflow as tf

from axial_tf import visualize
from axial_tf.data.common import resizing
from axial_tf.inference import attention_probe
from axial_tf.prediction import loaded_model


def draw(model: loaded_model.Segmenter, image: np.ndarray,
         pixel: Tuple[int, int], layer: Optional[str] = None,
         head: Optional[int] = None, least_side: int = 1) -> np.ndarray:
  """Draws what a pixel attends to: along its column, its row, and in total.

  Args:
    model: a model of a training run, not an export.
    image: uint8 RGB [height, width, 3].
    pixel: (y, x) in the image.
    layer: one of `attention_probe.layers`; None for the last one.
    head: its number, from 0; None for the mean over the heads.
    least_side: longer side, in pixels, up to which the panels are enlarged by
      a whole factor where the network sees less.

  Returns:
    uint8 RGB, see `visualize.attention_pictures`.

  Raises:
    errors.UserError: there is no such pixel, layer or head.
  """
  attention_probe.check_pixel(pixel, image.shape[:2])
  shown = model.resized(tf.constant(image[np.newaxis]))
  pixel = tuple(
      resizing.nearest(p, new, old) for p, old, new in zip(
          pixel, image.shape, shown.shape[1:3]))
  attention = attention_probe.probe(
      model.inference.model, resizing.to_model_range(shown), layer=layer,
      pixel=pixel, head=head)
  enlarged = max(1, least_side // max(shown.shape[1:3]))
  return visualize.attention_pictures(
      shown[0].numpy().repeat(enlarged, 0).repeat(enlarged, 1),
      attention._replace(pixels_per_cell=tuple(
          enlarged * step for step in attention.pixels_per_cell)),
      tuple(enlarged * p + enlarged // 2 for p in pixel))
