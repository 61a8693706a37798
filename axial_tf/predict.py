"""Segments image files with a trained or exported model.

Examples:
  python -m axial_tf.predict --model=exports/demo --input='photos/*.jpg' \\
    --output_dir=segmented

  --input is a file, a folder (searched with its subfolders) or a pattern;
  --model an export or the --model_dir of a training run.

  python -m axial_tf.predict --model=runs/demo --input=photo.jpg \\
    --output_dir=segmented --pictures=overlay,attention --pixel=120,80 \\
    --layer=stage4_block1 --head=0

Writes for each image, below --output_dir in the same subfolders:
  <name>_panoptic.png   the segment of each pixel: id = R + 256 G + 65536 B
  <name>.json           the segments: id, category, score, area, box
and, of these, the --pictures that are asked for:
  <name>_overlay.png    the image under its colored, labeled segments; legend
  <name>_heatmap.png    where the model sees centers of things
  <name>_offsets.png    in which direction each pixel's center lies
  <name>_attention.png  what --pixel attends to in --layer: its column, its
                        row, and the two together; --model is a training run

An image that cannot be read is named and left out, the others are done, and
the exit status is 1.
"""

import dataclasses
import glob
import json
import os
import sys
from typing import Any, Dict, List, Optional, Tuple

from absl import flags

from axial_tf import cli

FLAGS = flags.FLAGS


_PICTURES = ('overlay', 'heatmap', 'offsets', 'attention')
# What is taken for an image in a folder.
_EXTENSIONS = frozenset(
    ('.bmp', '.gif', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp'))


def _define_flags() -> None:
  flags.DEFINE_string(
      'model', None, 'folder of an export, of one of its versions, or of a '
      'training run.')
  flags.DEFINE_string(
      'input', None, 'image file, folder, or pattern such as photos/*.jpg '
      '(** for any depth); quote patterns.')
  flags.DEFINE_string(
      'output_dir', None, 'folder for the results.')


  flags.DEFINE_list(
      'pictures', ['overlay'], 'which of overlay, heatmap, offsets, attention '
      'to draw; empty for none.')
  flags.DEFINE_string(
      'pixel', None, 'y,x of the pixel whose attention is drawn; the middle of '
      'each image if not given.')
  flags.DEFINE_string(
      'layer', None, 'whose attention is drawn; an unknown name lists them.')
  flags.DEFINE_integer(
      'head', None, 'whose attention is drawn, from 0; the mean if not given.')


def main() -> None:
  from axial_tf import errors

  for flag, meaning in ((FLAGS['model'], 'an export or a training run'),
                        (FLAGS['input'], 'an image, a folder or a pattern'),
                        (FLAGS['output_dir'], 'a folder for the results')):
    if not flag.value:
      raise errors.UserError(
          f'--{flag.name} is missing: expected {meaning} (see --help for an '
          f'example)')
  files = find_images(FLAGS.input)
  stems = output_stems(files)
  if os.path.exists(FLAGS.output_dir) and not os.path.isdir(
      FLAGS.output_dir):
    raise errors.UserError(
        f'--output_dir: {FLAGS.output_dir} is a file, expected a folder')

  pictures = _pictures()
  pixel = _pixel()

  from tqdm import tqdm

  from axial_tf import predictor as predictor_lib

  predictor = predictor_lib.Predictor(FLAGS.model)
  if 'attention' in pictures:
    predictor.check_attention(FLAGS.layer, FLAGS.head)
  failed = []
  for file in tqdm(files, unit=' images', file=sys.stderr):
    try:
      result = predictor(file)
      drawn = draw(predictor, result, pictures, pixel, FLAGS.layer, FLAGS.head)
    except errors.UserError as error:
      failed.append(file)
      tqdm.write(f'error: {" ".join(str(error).split())}', file=sys.stderr)
      continue
    write_result(
        result, drawn, os.path.join(FLAGS.output_dir, stems[file]))
  done = len(files) - len(failed)
  print(f'{done} images segmented, results in {FLAGS.output_dir}')
  if failed:
    raise errors.UserError(
        f'{len(failed)} of {len(files)} images could not be read (reasons '
        f'above): {", ".join(failed)}')


def _pictures() -> List[str]:
  """Returns what --pictures asks for."""
  from axial_tf import errors

  unknown = sorted(set(FLAGS.pictures) - set(_PICTURES))
  if unknown:
    raise errors.UserError(
        f'--pictures: expected some of {", ".join(_PICTURES)}, got '
        f'{", ".join(unknown)}')
  given = [name for name in ('pixel', 'layer', 'head')
           if FLAGS[name].value is not None]
  if given and 'attention' not in FLAGS.pictures:
    raise errors.UserError(
        f'--{given[0]} is about attention; add attention to --pictures')
  return FLAGS.pictures


def _pixel() -> Optional[Tuple[int, int]]:
  """Returns (y, x) of --pixel."""
  from axial_tf import errors

  if FLAGS.pixel is None:
    return None
  try:
    y, x = map(int, FLAGS.pixel.split(','))
  except ValueError as error:
    raise errors.UserError(
        f'--pixel: expected y,x such as 120,80, got {FLAGS.pixel}') from error
  return y, x


def find_images(pattern: str) -> List[str]:
  """Returns the files that a file name, folder or pattern stands for.

  Raises:
    errors.UserError: there are none.
  """
  from axial_tf import errors

  if os.path.isfile(pattern):
    return [pattern]
  if os.path.isdir(pattern):
    files = sorted(
        os.path.join(folder, name)
        for folder, _, names in os.walk(pattern) for name in names
        if os.path.splitext(name)[1].lower() in _EXTENSIONS)
    missing = f'expected image files ({" ".join(sorted(_EXTENSIONS))}) in it'
  else:
    files = sorted({
        path for path in glob.glob(pattern, recursive=True)
        if os.path.isfile(path)})
    missing = 'expected an image file, a folder or a pattern of files'
  if not files:
    raise errors.UserError(
        f'--input: {pattern}: {missing}, found none; check the path')
  return files


def output_stems(files: List[str]) -> Dict[str, str]:
  """Returns for each file a different path to which endings are added.

  Paths are relative to the files' common folder. An image keeps its own
  ending (`x.jpg`) where another one would have the same path without.
  """
  if len(files) == 1:
    root = os.path.dirname(files[0])
  else:
    root = os.path.commonpath([os.path.dirname(os.path.abspath(file))
                               for file in files])
  full = {file: os.path.relpath(file, root or '.') for file in files}
  stems = {file: os.path.splitext(name)[0] for file, name in full.items()}
  while len(set(stems.values())) < len(stems):
    paths = list(stems.values())
    stems = {file: full[file] if paths.count(stem) > 1 else stem
             for file, stem in stems.items()}
  return stems


def draw(predictor, result, pictures: List[str],
         pixel: Optional[Tuple[int, int]], layer: Optional[str],
         head: Optional[int]) -> Dict[str, Any]:
  """Returns the pictures of a result by name.

  Args:
    predictor: the `axial_tf.Predictor` that made the result.
    result: an `axial_tf.PanopticResult`.
    pictures: names out of overlay, heatmap, offsets, attention.
    pixel: (y, x) whose attention is drawn; None for the middle of the image.
    layer: of the attention.
    head: of the attention.

  Raises:
    errors.UserError: the image has no such pixel.
  """
  import numpy as np

  from axial_tf import visualize

  drawn = {}
  if 'overlay' in pictures:
    drawn['overlay'] = np.concatenate([
        result.picture, visualize.legend(
            result.panoptic_map, result.spec, result.image.shape[1])])
  if 'heatmap' in pictures or 'offsets' in pictures:
    heads = predictor.heads(result)
    if 'heatmap' in pictures:
      drawn['heatmap'] = heads.heatmap_picture
    if 'offsets' in pictures:
      drawn['offsets'] = heads.offset_picture
  if 'attention' in pictures:
    height, width = result.panoptic_map.shape
    drawn['attention'] = predictor.attention(
        result.image, pixel or (height // 2, width // 2), layer, head)
  return drawn


def write_result(result, pictures: Dict[str, Any], stem: str) -> None:
  """Writes the files of an image, each as a whole or not at all.

  Args:
    result: an `axial_tf.PanopticResult`.
    pictures: uint8 RGB by the name that their files get.
    stem: path to which the files' endings are added.

  Raises:
    errors.UserError: a file cannot be written.
  """
  from axial_tf import visualize, whole_files
  from axial_tf.data import records

  ids = result.panoptic_map
  whole_files.write(f'{stem}_panoptic.png', records.label_to_png(ids))
  for name, picture in pictures.items():
    visualize.save_png(picture, f'{stem}_{name}.png')
  content = {
      'height': ids.shape[0], 'width': ids.shape[1],
      'void_id': result.spec.void_label,
      'segments': [dataclasses.asdict(s) for s in result.segments],
  }
  text = json.dumps(content, indent=1) + '\n'
  whole_files.write(f'{stem}.json', text.encode())


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__)
