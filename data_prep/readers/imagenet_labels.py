"""Reads the lists of classes of ImageNet's validation images.

  imagenet_2012_validation_synset_labels.txt   a synset per line, by position
  LOC_val_solution.csv                         Kaggle, by name
  val/val_annotations.txt                      Tiny ImageNet, by name
  ILSVRC2012_devkit_t12/data/...               the official development kit:
      ILSVRC2012_validation_ground_truth.txt has a number per line, by position;
      meta.mat maps numbers to synsets
"""

import csv
import os
import pathlib
import re
from typing import Dict, List, Sequence, Tuple

from absl import logging

from axial_tf import errors
from axial_tf.files import text_files
from data_prep.readers import imagenet_classes

_SYNSETS = 'imagenet_2012_validation_synset_labels.txt'
_KAGGLE = 'LOC_val_solution.csv'
_TINY = 'val_annotations.txt'
_NUMBERS = tuple(f'{folder}ILSVRC2012_validation_ground_truth.txt' for folder
                 in ('ILSVRC2012_devkit_t12/data/', 'data/', ''))
_META = 'meta.mat'
_NUMBERED = re.compile(r'_(\d+)(\.[^.]+)$')  # ILSVRC2012_val_00000001.JPEG

# File name of an image, its class, and its position in a list, for errors.
Labeled = Tuple[str, str, str]


def is_tiny(folder: pathlib.Path) -> bool:
  """Whether a folder is the original val/ of Tiny ImageNet."""
  return (folder / _TINY).is_file() and (folder / 'images').is_dir()


def read(folder: pathlib.Path, files: Sequence[str],
         places: Sequence[pathlib.Path]) -> List[Labeled]:
  """Returns the validation images that a list has, existing or missing.

  Args:
    folder: folder of the split.
    files: names of its images, sorted.
    places: folders that may contain lists.

  Raises:
    errors.UserError: there is no list, or it does not match the images.
  """
  if is_tiny(folder):
    path = folder / _TINY
    rows = [line.split('\t') for line in text_files.lines(path)]
    return _by_name(path, rows, files)
  path = imagenet_classes.find(places, _SYNSETS)
  if path is not None:
    return _by_position(path, text_files.lines(path), folder, files)
  path = imagenet_classes.find(places, _KAGGLE)
  if path is not None:
    rows = [[name, (prediction.split() or [''])[0]] for name, prediction, *_ in
            (row + [''] * 2 for row in csv.reader(text_files.lines(path)))]
    return _by_name(path, rows[1:], files)  # The first one names the columns.
  path = imagenet_classes.find(places, *_NUMBERS)
  if path is not None:
    synsets = _synsets_by_number(path)
    return _by_position(
        path, [synsets.get(n, n) for n in text_files.lines(path)], folder,
        files)
  raise errors.UserError(
      f'{folder}: the classes of its images are unknown; expected one folder '
      f'per class in it, or in {places[0]} one of {_SYNSETS} (a class per '
      f'line), {_KAGGLE} (Kaggle) and {_NUMBERS[0]} (the development kit)')


def _by_name(path: pathlib.Path, rows: Sequence[Sequence[str]],
             files: Sequence[str]) -> List[Labeled]:
  """Labels the images of a list that gives their names, with or without ending.
  """
  by_stem = {os.path.splitext(name)[0]: name for name in files}
  result = []
  for number, row in enumerate(rows, start=1):
    if (len(row) < 2 or not all(row[:2])
        or os.path.basename(row[0]) != row[0]):
      raise errors.UserError(
          f'{path}: row {number}: expected an image and its class, got '
          f'{" ".join(row)!r:.80}; copy it again')
    stem, ending = os.path.splitext(row[0])
    result.append((by_stem.pop(stem, stem + (ending or '.JPEG')), row[1],
                   f'{path}: row {number}'))
  if by_stem:
    logging.warning('%s: left out %d images that it does not list, such as %s',
                    path, len(by_stem), next(iter(by_stem.values())))
  return result


def _by_position(path: pathlib.Path, classes: Sequence[str],
                 folder: pathlib.Path, files: Sequence[str]) -> List[Labeled]:
  """Labels numbered images by the lines of a list, others by their order."""
  numbered = [_NUMBERED.search(name) for name in files]
  if all(numbered):
    by_number = {int(match[1]): name for match, name in zip(numbered, files)}
    beyond = next((name for number, name in by_number.items()
                   if not 1 <= number <= len(classes)), None)
    if beyond is not None:
      raise errors.UserError(
          f'{path}: lists {len(classes)} images, but {folder} holds {beyond}; '
          f'copy both again')
    width = len(numbered[0][1])
    start, end = files[0][:numbered[0].start()], numbered[0][2]
    files = [by_number.get(number, f'{start}_{number:0{width}d}{end}')
             for number in range(1, len(classes) + 1)]
  elif len(classes) != len(files):
    raise errors.UserError(
        f'{path}: lists {len(classes)} images, but {folder} holds '
        f'{len(files)}; copy both again')
  return [(name, class_id, f'{path}: line {number}') for number, (
      name, class_id) in enumerate(zip(files, classes), start=1)]


def _synsets_by_number(path: pathlib.Path) -> Dict[str, str]:
  """Returns the synset of each number of the development kit's ground truth.

  The numbers follow no order of the synsets, so meta.mat is needed.
  """
  meta = path.parent / _META
  if not meta.is_file():
    raise errors.UserError(
        f'{path}: gives classes as numbers, whose synsets are in {meta}, which '
        f'is missing; unpack the whole ILSVRC2012_devkit_t12.tar.gz there, or '
        f'put {_SYNSETS} next to the folder val')
  try:
    from scipy import io
  except ImportError as error:
    raise errors.UserError(
        f'{meta}: reading it needs SciPy, which cannot be imported '
        f'({errors.first_line(error)}); run pip install scipy, or put '
        f'{_SYNSETS} next to the folder val') from error
  try:
    synsets = io.loadmat(meta, squeeze_me=True)['synsets']
    return {str(int(number)): str(wnid) for number, wnid in zip(
        synsets['ILSVRC2012_ID'], synsets['WNID'])}
  except Exception as error:  # SciPy fails on damaged files in many ways.
    raise errors.UserError(
        f'{meta}: not readable as the meta.mat of ILSVRC2012 '
        f'({errors.first_line(error)}); copy it again') from error
