"""Draws a few augmented training images and their targets for TensorBoard."""

import dataclasses
from typing import Dict

import numpy as np

from axial_tf import visualize
from axial_tf.data.common import resizing
from axial_tf.data.panoptic import pipeline as panoptic_pipeline
from axial_tf.data.panoptic import training_batch
from axial_tf.layers import padding
from axial_tf.specs import dataset_spec
from axial_tf.visualize.tensorboard import picture_sizes


def draw(settings: panoptic_pipeline.PanopticDataSettings,
         spec: dataset_spec.DatasetSpec, count: int, kind: padding.Padding,
         seed=None) -> Dict[str, np.ndarray]:
  """Reads and draws images as seen in training.

  Args:
    settings: settings of the data; only a few records are read.
    spec: spec of the labels.
    count: number of images.
    kind: padding that the network is trained with.
    seed: seed of their choice and augmentation.

  Returns:
    Pictures by name, uint8 RGB: the image, its segments, and the targets of
    centers and offsets.

  Raises:
    errors.UserError: as `panoptic_pipeline.train_dataset`.
  """
  if not count:
    return {}
  few = dataclasses.replace(
      settings, cache=False, shuffle_buffer=count, data_service=None)
  batch = next(iter(
      panoptic_pipeline.train_dataset(few, spec, count, seed=seed)))
  targets = training_batch.unpack(batch, spec, settings.targets, kind)
  image = resizing.to_uint8(127.5 * (targets['image'] + 1))
  maps = {key: tensor.numpy() for key, tensor in (
      ('image', image), ('panoptic', batch['panoptic']),
      ('heatmap', targets['center_heatmap']), ('offset', targets['offset']),
      ('is_thing', targets['offset_weight'] > 0))}
  return {
      f'training/{number}': _draw(
          spec, **{key: values[number - 1] for key, values in maps.items()})
      for number in range(1, count + 1)}


def _draw(spec, image, panoptic, heatmap, offset, is_thing) -> np.ndarray:
  size = picture_sizes.shown_size(*panoptic.shape)
  image = picture_sizes.resize_image(image, *size)
  offset = picture_sizes.resize_offset(offset, *size)
  panoptic, heatmap, is_thing = (
      resizing.nearest_array(values, *size)
      for values in (panoptic, heatmap, is_thing))
  return visualize.side_by_side(
      [image,
       visualize.panoptic_overlay(image, panoptic, spec, labels=True),
       visualize.center_heatmap(image, heatmap),
       visualize.offset_wheel(image, offset, is_thing)],
      ['image', 'ground truth', 'centers', 'offsets'])
