"""Finds the categories of a COCO instance JSON, and of its semantic PNGs."""

import collections
from typing import Any, Dict, List

import tqdm

from axial_tf.files import json_files
from data_prep.readers import (
  coco_instances,
  infer_masks,
  infer_spec,
  instance_layouts,
  listed_files,
  splits,
)


def find(input_dir: str, split: str, options: splits.ReadOptions
         ) -> infer_spec.Found:
  """Returns the categories of a split in a layout of `instance_layouts`.

  Those of the JSON are things, with or without annotations, unless it says
  "isthing": 0; the background and other values of semantic PNGs are stuff.

  Raises:
    errors.UserError: there is no JSON, an entry of it is incomplete, or a
      semantic PNG is missing or damaged.
  """
  found = instance_layouts.find(input_dir, split, options)
  content, listed = coco_instances.read(found.json_path)
  categories = json_files.entries(
      content, 'categories', str(found.json_path),
      {'id': int, 'name': str}, 'export the annotations again')
  entries = [{'isthing': 1, **entry} for entry in categories]
  if options.background is not None:
    _add_background(entries, options.background)
  folder = coco_instances.semantic_folder(input_dir, options)
  if folder is not None:
    image_dir, names = instance_layouts.locate(listed, found)
    files, tally = listed_files.Folders(), infer_masks.Tally()
    for name in tqdm.tqdm(
        names.values(), desc='reading PNGs', unit='image'):
      files.path(image_dir, name, found.json_path)  # Refuses invalid names.
      tally.add(coco_instances.semantic_path(folder, name, files), None,
                options.max_pixels)
    entries += [{**entry, 'isthing': 0} for entry in tally.others(entries)]
  return infer_spec.Found(
      _with_unique_names(entries), _most_instances(content), found.json_path)


def _add_background(entries: List[Dict[str, Any]], name: str) -> None:
  """Makes the category of this name stuff, or adds it."""
  for entry in entries:
    if entry['name'] == name:
      entry['isthing'] = 0
      return
  entries.append({'id': _free_id(entries), 'name': name, 'isthing': 0})


def _free_id(entries: List[Dict[str, Any]]) -> int:
  used = {entry['id'] for entry in entries}
  return next(i for i in range(len(used) + 1) if i not in used)


def _with_unique_names(entries: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
  """Adds the id to names that occur before: Roboflow repeats the class's."""
  seen = set()
  for entry in entries:
    if entry['name'] in seen:
      entry['name'] = f'{entry["name"]} ({entry["id"]})'
    seen.add(entry['name'])
  return entries


def _most_instances(content: Dict[str, Any]) -> int:
  counts = collections.Counter(
      (annotation['image_id'], annotation['category_id'])
      for annotation in content['annotations'])
  return max(counts.values(), default=0)
