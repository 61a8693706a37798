"""Turns the labels of Mapillary Vistas into panoptic labels.

There are two types of labels: panoptic images of segment ids that a JSON
describes, and images of 256 * class + instance (16 bits), in which instances
count from 0. Both give the same panoptic label, whose things are numbered in
the order of their first pixels.

A JSON may mark a segment as a crowd; the other type cannot.
"""

from typing import Any, Mapping, Optional, Sequence

import numpy as np

from axial_tf import errors
from axial_tf.specs import dataset_spec
from data_prep.readers import panoptic_labels

_INSTANCES = 256


def class_places(instances: np.ndarray) -> np.ndarray:
  """Returns the index in config.json of each pixel's class."""
  return instances // _INSTANCES


def from_instances(
    instances: np.ndarray, categories: Sequence[Optional[int]],
    spec: dataset_spec.DatasetSpec, source: str, crowds: str) -> np.ndarray:
  """Turns an image of the folder instances/ into a panoptic label.

  Args:
    instances: int32 [height, width], 256 * class + instance.
    categories: category id of the spec per index in config.json, None is void.
    spec: spec of the data set.
    source: file name for errors.
    crowds: 'keep', or 'ignore' to make them void.

  Returns:
    int32 [height, width].

  Raises:
    errors.UserError: a class is not in config.json, or a class has too many
      instances.
  """
  segments = []
  for value in panoptic_labels.ids_in_order(instances):
    place = value // _INSTANCES
    if place >= len(categories):
      raise errors.UserError(
          f'{source}: has the value {value}, whose class would be {place} '
          f'({value} // {_INSTANCES}), but config.json has the classes '
          f'0..{len(categories) - 1}; check that they belong together')
    segments.append({'id': value + 1, 'category_id': categories[place]})
  # The first instance of the first class is 0, which is void for segments.
  return _label(instances + 1, segments, spec, source, crowds)


def from_panoptic(
    id_map: np.ndarray, segments: Sequence[Any],
    categories: Mapping[int, Optional[int]], spec: dataset_spec.DatasetSpec,
    source: str, crowds: str) -> np.ndarray:
  """Turns a panoptic PNG with its JSON into a panoptic label.

  Args:
    id_map: int32 [height, width], as from `label_png.from_image`.
    segments: the `segments_info` of the image.
    categories: category id of the spec per category_id, None is void.
    spec: spec of the data set.
    source: file name for errors.
    crowds: 'keep', or 'ignore' to make them void.

  Returns:
    int32 [height, width].

  Raises:
    errors.UserError: ids, areas and categories of PNG and JSON do not agree,
      or a class has too many instances.
  """
  known = []
  for listed in segments:
    segment = panoptic_labels.with_numbers(listed, source)
    if segment['category_id'] not in categories:
      raise errors.UserError(
          f'{source}: segment {segment["id"]} has the category_id '
          f'{segment["category_id"]}, which the JSON does not list; correct '
          f'the JSON')
    known.append(
        {**segment, 'category_id': categories[segment['category_id']]})
  order = {value: place for place, value in enumerate(
      panoptic_labels.ids_in_order(id_map))}
  known.sort(key=lambda segment: order.get(segment['id'], len(order)))
  return _label(id_map, known, spec, source, crowds)


def _label(id_map, segments, spec, source, crowds) -> np.ndarray:
  """Turns segments without category into void and labels the others."""
  void = [s['id'] for s in segments if s['category_id'] is None]
  if void:
    id_map = np.where(np.isin(id_map, void), 0, id_map)
  return panoptic_labels.panoptic_label(
      id_map, [s for s in segments if s['category_id'] is not None], spec,
      source, crowds)
