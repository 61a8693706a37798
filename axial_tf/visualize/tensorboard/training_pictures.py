"""Draws a few augmented training images and their targets for TensorBoard."""

import dataclasses
from typing import Dict

import numpy as np

from axial_tf import visualize
from axial_tf.data.common import resizing
from axial_tf.data.panoptic import pipeline as panoptic_pipeline
from axial_tf.data.panoptic import target_kinds, training_batch
from axial_tf.layers import padding
from axial_tf.specs import dataset_spec
from axial_tf.visualize import head_pictures, picture_sizes


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
    Pictures by name, uint8 RGB: the image, its segments, and the targets.

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
  of_label = target_kinds.heads(batch['panoptic'], spec, settings.targets)
  maps = {key: tensor.numpy() for key, tensor in {
      **targets, **of_label, 'image': image, 'panoptic': batch['panoptic']
  }.items()}
  return {
      f'training/{number}': _draw(
          spec, {key: values[number - 1] for key, values in maps.items()})
      for number in range(1, count + 1)}


def _draw(spec, maps) -> np.ndarray:
  seen = maps['panoptic'].shape
  size = picture_sizes.shown_size(*seen)
  image = picture_sizes.resize_image(maps['image'], *size)
  panoptic = resizing.nearest_array(maps['panoptic'], *size)
  # Crowds are things without an instance, and have no targets.
  train_id, instance = np.divmod(panoptic, spec.label_divisor)
  of_targets = head_pictures.draw(
      image, np.isin(train_id, spec.thing_ids) & (instance > 0), maps, seen)
  return visualize.side_by_side(
      [image,
       visualize.panoptic_overlay(image, panoptic, spec, labels=True),
       *of_targets.values()],
      ['image', 'ground truth', *of_targets])
