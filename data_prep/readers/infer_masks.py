"""Finds the categories of semantic and instance PNGs.

Values and colors get their names from labelmap.txt or class_names.txt, if there
is one; things are those that instance PNGs mark.
"""

import pathlib
from typing import Any, Dict, List, Optional, Set, Tuple

import numpy as np
import tqdm

from axial_tf import errors
from axial_tf.panoptic import label_runs
from data_prep.readers import (
  class_names,
  infer_spec,
  label_records,
  mask_folders,
  semantic_masks,
  splits,
)


def find(input_dir: str, split: str, options: splits.ReadOptions
         ) -> infer_spec.Found:
  """Returns the categories of a split in the layout of `mask_folders`.

  A list or fraction makes no difference: train and val share their spec.

  Raises:
    errors.UserError: another layout, a file is damaged or missing, some PNGs
      have one channel and some three, or they have no class.
  """
  layout = mask_folders.find(input_dir, split, options)
  tally = Tally()
  for image in tqdm.tqdm(
      mask_folders.images(layout), desc='reading PNGs', unit='image'):
    tally.add(image.semantic_path, image.instance_path, options.max_pixels)
  named = class_names.read(pathlib.Path(input_dir))
  entries = tally.entries(named, layout.semantic_dir)
  void = tally.void(entries)
  if void:
    print(f'{layout.semantic_dir}: {" and ".join(map(str, void))} taken for '
          f'void; add a category to the spec if it is one')
  return infer_spec.Found(entries, tally.most_instances, layout.semantic_dir)


class Tally:
  """Values of the semantic PNGs of many images, and which ones are things."""

  def __init__(self):
    self.most_instances = 0
    self._things: Set[int] = set()
    self._palette: Dict[int, Tuple[int, ...]] = {}
    # Value or color -> the first file with it.
    self._first: Dict[int, str] = {}
    self._has_colors: Optional[bool] = None

  def add(self, path: str, instance_path: Optional[str], max_pixels: int
          ) -> None:
    """Adds the PNGs of an image.

    Raises:
      errors.UserError: they are damaged or differ in size, or the semantic PNG
        has colors where earlier ones have ids or the reverse.
    """
    raw = semantic_masks.read_raw(path, max_pixels)
    if self._has_colors is None:
      self._has_colors = raw.has_colors
    if raw.has_colors != self._has_colors:
      raise errors.UserError(
          f'{path}: expected {_kind(self._has_colors)} as in '
          f'{next(iter(self._first.values()))}, got {_kind(raw.has_colors)}; '
          f'convert them to one type')
    for value in label_runs.areas(raw.values):
      self._first.setdefault(value, path)
      if raw.palette is not None and value < len(raw.palette):
        self._palette.setdefault(value, tuple(raw.palette[value].tolist()))
    if instance_path is not None:
      instances = semantic_masks.read_raw(instance_path, max_pixels).values
      label_records.check_same_size(
          raw.values, path, instances, instance_path)
      self._add_things(raw.values, instances)

  def entries(self, named: List[class_names.Named], source: pathlib.Path
              ) -> List[Dict[str, Any]]:
    """Returns the categories: the named ones and all other values found.

    Args:
      named: names by value from 0.
      source: folder of the PNGs, for errors.

    Raises:
      errors.UserError: there are none.
    """
    known = [{'id': value, 'name': n.name, 'color': n.color}
             for value, n in enumerate(named)]
    result = [
        {**entry, 'isthing': int(self._key(entry) in self._things),
         'color': entry['color'] or self._palette.get(entry['id'])}
        for entry in known + self.others(known)]
    if not result:
      raise errors.UserError(
          f'{source}: its PNGs have no values but those of void, '
          f'{sorted(self._first)}; name them in labelmap.txt or '
          f'class_names.txt, or write the spec by hand')
    return result

  def others(self, known: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Returns entries, without 'isthing', of values that are none of `known`.

    Args:
      known: entries with integer 'id' and maybe 'color'.
    """
    unknown = sorted(
        set(self._first) - self._void_values()
        - {self._key(entry) for entry in known})
    if not self._has_colors:
      return [{'id': value, 'name': f'class {value}', 'color': None}
              for value in unknown]
    colors = [semantic_masks.color_of(number) for number in unknown]
    first = max([0, *(e['id'] for e in known if isinstance(e['id'], int))]) + 1
    return [{'id': number, 'color': color,
             'name': f'color {color[0]},{color[1]},{color[2]}'}
            for number, color in enumerate(colors, first)]

  def void(self, known: List[Dict[str, Any]]) -> List[Any]:
    """Returns the values or colors found that are void and none of `known`."""
    found = sorted(set(self._first) & self._void_values()
                   - {self._key(entry) for entry in known})
    return [semantic_masks.color_of(number) for number in found] if (
        self._has_colors) else found

  def _void_values(self) -> Set[int]:
    if not self._has_colors:
      return set(semantic_masks.VOID_IDS)
    return {semantic_masks.color_number(color)
            for color in semantic_masks.VOID_COLORS}

  def _key(self, entry: Dict[str, Any]) -> Optional[int]:
    """Returns the value or color of a category in the PNGs."""
    if not self._has_colors:
      return entry['id']
    color = entry.get('color')
    is_color = isinstance(color, (list, tuple)) and len(color) == 3 and all(
        isinstance(c, int) for c in color)
    return semantic_masks.color_number(color) if is_color else None

  def _add_things(self, values: np.ndarray, instances: np.ndarray) -> None:
    starts, _ = label_runs.find(values, instances)
    pairs = {pair for pair in zip(values.ravel()[starts].tolist(),
                                  instances.ravel()[starts].tolist())
             if pair[1]}
    counts: Dict[int, int] = {}
    for value, _ in pairs:
      counts[value] = counts.get(value, 0) + 1
    self._things |= set(counts)
    self.most_instances = max([self.most_instances, *counts.values()])


def _kind(has_colors: bool) -> str:
  return 'three channels (colors)' if has_colors else 'one channel (ids)'
