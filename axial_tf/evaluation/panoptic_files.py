"""Reads panoptic results of any origin: a JSON file and a folder of PNGs.

This is the format that panopticapi scores. Nothing is guessed: inconsistencies
are errors that name the image, so that no score is wrong.
"""

import dataclasses
import os
from typing import Any, Dict, Iterator, List, Optional, Tuple

import numpy as np
from PIL import Image

from axial_tf import errors
from axial_tf.evaluation import label_maps
from axial_tf.files import json_files, paths
from axial_tf.panoptic import label_png
from axial_tf.specs import dataset_spec

_GREY = (128, 128, 128)


@dataclasses.dataclass(frozen=True)
class PanopticFiles:
  """One side: ground truth or predictions.

  Attributes:
    path: path of the JSON file, for errors.
    folder: folder of the PNG files.
    annotations: annotations by image id, as in the JSON.
    content: whole content of the JSON.
  """

  path: str
  folder: str
  annotations: Dict[Any, Dict[str, Any]]
  content: Dict[str, Any]

  @classmethod
  def load(cls, path: str, folder: Optional[str] = None) -> 'PanopticFiles':
    """Reads the JSON file; the PNGs of X.json are in X by default.

    Raises:
      errors.UserError: file or folder is missing or has another layout, or an
        image is annotated twice.
    """
    if not path.endswith('.json') and folder is None:
      raise errors.UserError(
          f'{path}: expected a file that ends in .json, as its PNGs are looked '
          f'for in the folder of the same name; or name their folder')
    content = json_files.read(path)
    folder = folder or path[:-len('.json')]
    if not os.path.isdir(folder):
      raise errors.UserError(
          f'{folder}: expected a folder with the PNGs of {path}, found none; '
          f'name the folder if it is elsewhere')
    annotations = {}
    for entry in json_files.entries(content, 'annotations', path, {
        'image_id': (int, str), 'file_name': str, 'segments_info': list}):
      image_id = entry['image_id']
      where = f'{path}: image {image_id!r}'
      if paths.leads_out(entry['file_name']):
        raise errors.UserError(
            f'{where}: the file name {entry["file_name"]!r:.200} leads out of '
            f'{folder}; use names relative to it')
      if image_id in annotations:
        raise errors.UserError(
            f'{where} has two annotations; expected one, remove the other')
      annotations[image_id] = entry
    return cls(path, folder, annotations, content)

  def spec(self) -> dataset_spec.DatasetSpec:
    """Returns the categories that the JSON lists.

    Raises:
      errors.UserError: there are none, or their fields contradict one another.
    """
    categories = []
    for entry in json_files.entries(self.content, 'categories', self.path, {
        'id': int, 'isthing': (int, bool)}):
      categories.append({
          'id': entry['id'], 'train_id': len(categories),
          'name': str(entry.get('name', entry['id'])),
          'is_thing': bool(entry['isthing']), 'color': _GREY})
    try:
      return dataset_spec.DatasetSpec(
          name=os.path.basename(self.path), label_divisor=2,
          ignore_label=len(categories), categories=tuple(
              dataset_spec.Category(**category) for category in categories))
    except errors.UserError as error:
      raise errors.UserError(f'{self.path}: {error}') from error


@dataclasses.dataclass(frozen=True)
class ScoredOverlaps:
  """One image: its overlaps, and the scores of the predictions.

  Attributes:
    image_id: id of the image.
    pairs: true and predicted segments and their overlaps.
    scores: float [predicted segments]; NaN where the JSON gives none.
  """

  image_id: Any
  pairs: label_maps.Overlaps
  scores: np.ndarray


def compare(truth: PanopticFiles, prediction: PanopticFiles,
            spec: dataset_spec.DatasetSpec) -> Iterator[ScoredOverlaps]:
  """Yields the images one after the other, reading the PNGs as it goes.

  Raises:
    errors.UserError: the two do not list the same images (at once); PNG, JSON
      and categories of an image do not fit together (at that image).
  """
  missing = [i for i in truth.annotations if i not in prediction.annotations]
  if missing:
    raise errors.UserError(
        f'{prediction.path}: no prediction for image {missing[0]!r}'
        f'{_and_more(missing)} of {truth.path}; predict every image, an empty '
        f'one has no segments and a black PNG')
  unknown = [i for i in prediction.annotations if i not in truth.annotations]
  if unknown:
    raise errors.UserError(
        f'{prediction.path}: image {unknown[0]!r}{_and_more(unknown)} is not '
        f'in {truth.path}; remove it, or check the ids')
  if not truth.annotations:
    raise errors.UserError(f'{truth.path}: no images; nothing to score')
  return (_overlaps(image_id, truth, prediction, spec)
          for image_id in truth.annotations)


def read_ids(side: PanopticFiles, image_id) -> np.ndarray:
  """Returns the segment ids int32 [height, width] of an image's PNG.

  Raises:
    errors.UserError: it is missing or damaged, or see `label_png.from_image`.
  """
  name = side.annotations[image_id]['file_name']
  path = os.path.join(side.folder, name)
  where = f'{side.path}: image {image_id!r}: {path}'
  try:
    with Image.open(path) as image:
      return label_png.from_image(image, where)
  except (OSError, SyntaxError, ValueError, Image.DecompressionBombError
          ) as error:
    if isinstance(error, errors.UserError):
      raise
    raise errors.UserError(
        f'{where}: expected a PNG, cannot read one '
        f'({errors.first_line(error)}); write it again') from error


def _overlaps(image_id, truth, prediction, spec) -> ScoredOverlaps:
  maps = [read_ids(side, image_id) for side in (truth, prediction)]
  if maps[0].shape != maps[1].shape:
    raise errors.UserError(
        f'{prediction.path}: image {image_id!r}: expected a PNG of the ground '
        f'truth\'s size {_size(maps[0])}, got {_size(maps[1])}; write it at '
        f'the size of the image')
  truth_ids, predicted_ids, area = label_maps.value_pairs(*maps)
  sides = []
  for side, ids in ((truth, truth_ids), (prediction, predicted_ids)):
    sides.append(_segments(
        side, image_id, ids, area, spec, is_truth=side is truth))
  (truth_index, true_segments, _), (index, segments, scores) = sides
  return ScoredOverlaps(image_id, label_maps.Overlaps(
      truth_index, index, area, true_segments, segments), scores)


def _segments(side, image_id, ids, area, spec, is_truth: bool
              ) -> Tuple[np.ndarray, label_maps.Segments, np.ndarray]:
  """Returns each pair's segment index, the segments, and their scores."""
  where = f'{side.path}: image {image_id!r}'
  listed = _listed(side.annotations[image_id]['segments_info'], spec, where,
                   is_truth)
  values, found = np.unique(ids, return_inverse=True)
  areas = dict(zip(
      values.tolist(), np.bincount(found, area, values.size).astype(int)))
  place = {row[0]: index for index, row in enumerate(listed)}
  for segment_id in areas:
    if segment_id and segment_id not in place:
      raise errors.UserError(
          f'{where}: its PNG has pixels of the segment {segment_id}, which is '
          f'not among its segments_info; add it there, or make the pixels 0 '
          f'(void)')
  for entry, segment_id in zip(
      side.annotations[image_id]['segments_info'], place):
    if segment_id not in areas:
      raise errors.UserError(
          f'{where}: the JSON lists the segment {segment_id}, but its PNG has '
          f'no such pixels; remove it from segments_info')
    # The official tool counts the areas of predictions itself, but trusts
    # those of the ground truth.
    stated = json_files.number(entry.get('area', areas[segment_id]))
    if is_truth and stated != areas[segment_id]:
      raise errors.UserError(
          f'{where}: the JSON gives segment {segment_id} the area '
          f'{stated}, its PNG {areas[segment_id]} pixels; check that '
          f'they belong together')
  columns = list(zip(*listed)) if listed else [()] * 4
  index = np.array([place.get(v, -1) for v in values.tolist()], np.int64)
  return (
      index[found],
      label_maps.Segments(
          np.array(columns[0], np.int64), np.array(columns[1], np.int64),
          np.array(columns[2], bool)),
      np.array(columns[3], np.float64))


def _listed(entries: List[Any], spec, where: str, is_truth: bool
            ) -> List[Tuple[int, int, bool, float]]:
  """Returns id, train id, crowd or not, and score of each listed segment."""
  result, ids, stuff = [], set(), set()
  for entry in entries:
    segment_id = json_files.field(entry, 'id', int, where)
    category_id = json_files.field(
        entry, 'category_id', int, f'{where}: segment {segment_id}')
    category = spec.by_source_id.get(category_id)
    if category is None:
      raise errors.UserError(
          f'{where}: segment {segment_id} has the category {category_id}, '
          f'which is not among the categories of the ground truth; correct '
          f'its category_id')
    if not 0 < segment_id < 2**24 or segment_id in ids:
      raise errors.UserError(
          f'{where}: segment id {segment_id} '
          f'{"is listed twice" if segment_id in ids else "is out of range"}; '
          f'expected different ids from 1 to {2**24 - 1}')
    ids.add(segment_id)
    is_crowd = is_truth and bool(
        json_files.number(entry.get('iscrowd', 0)))
    if not category.is_thing and not is_crowd:
      if category.train_id in stuff:
        raise errors.UserError(
            f'{where}: two segments of the stuff class {category.name!r}, the '
            f'second is {segment_id}; stuff has one segment per image, join '
            f'them')
      stuff.add(category.train_id)
    score = entry.get('score', float('nan'))
    if isinstance(score, bool) or not isinstance(score, (int, float)):
      raise errors.UserError(
          f'{where}: segment {segment_id} has the score {score!r:.40}; '
          f'expected a number')
    result.append((segment_id, category.train_id, is_crowd, float(score)))
  return result


def _and_more(items) -> str:
  return f' and {len(items) - 1} more' if len(items) > 1 else ''


def _size(label_map: np.ndarray) -> str:
  return f'{label_map.shape[1]}x{label_map.shape[0]}'
