"""Sends image files to a running TensorFlow Serving, by gRPC or REST.

Example (REST's usual port is 8501):
  python -m axial_tf.client --server=localhost:8500 --model=demo \\
    --model_json=exports/demo/1 --output_dir=answers street.jpg

prints the results of each image and, with --output_dir, writes its segments as
<name>_panoptic.png (id = R + 256 G + 65536 B) and, with --model_json, the image
under its labeled segments as <name>_overlay.png. An image that the server
rejects is reported, the others are processed, and the exit status is 1.
"""

import os
import sys
from typing import List, Sequence

from absl import flags
from tqdm import tqdm

from axial_tf import cli, errors
from axial_tf.client import answers
from axial_tf.client import client as client_lib
from axial_tf.files import earlier_results, image_files, paths
from axial_tf.prediction import results


def define_flags() -> None:
  """Defines the flags of the command."""
  flags.DEFINE_string('server', None, 'host:port of TensorFlow Serving.')
  flags.DEFINE_string('model', None, 'name of the model on the server.')
  flags.DEFINE_enum('protocol', 'grpc', ['grpc', 'rest'], 'protocol to use.')
  flags.DEFINE_integer(
      'version', None, 'version of the model; default: the newest. Without a '
      'number: print that of axial_tf.', lower_bound=1)
  cli.define_path(
      'model_json', None, 'model.json of the export, for names and colors.')
  cli.define_path('output_dir', None, 'folder for pictures.')
  flags.DEFINE_float('timeout', 60.0, 'seconds to wait for an image.')


def main(files: Sequence[str]) -> None:
  given = flags.FLAGS
  cli.require(server='host:port', model='the name of a model')
  if not files:
    raise errors.UserError(
        'expected image file names after the options, got none')
  paths.require_reachable(given.output_dir)
  files = list({os.path.abspath(file): file for file in files}.values())
  stems = image_files.output_stems(files)
  if given.output_dir and not paths.is_remote(given.output_dir):
    earlier_results.require_new(files, (
        os.path.join(given.output_dir, f'{stem}_{picture}.png')
        for stem in stems.values() for picture in ('panoptic', 'overlay')))
  failed = []
  with client_lib.Client(given.server, given.model, protocol=given.protocol,
              version=given.version, model_json=given.model_json,
              timeout=given.timeout) as client:
    with tqdm(files, unit=' images', file=sys.stderr) as bar:
      for file in bar:
        try:
          answer = client(file)
        except client_lib.BadImageError as error:
          failed.append(file)
          bar.write(f'error: {error}', file=sys.stderr)
          continue
        bar.write('\n'.join([file, *(f'  {line}' for line in _lines(answer))]),
                  file=sys.stdout)
        if given.output_dir and isinstance(answer, results.PanopticResult):
          _write(answer, os.path.join(given.output_dir, stems[file]))
  if failed:
    raise errors.UserError(
        f'{len(failed)} of {len(files)} images failed (reasons above): '
        f'{", ".join(failed)}')


def _lines(answer: answers.Answer) -> List[str]:
  if isinstance(answer, results.PanopticResult):
    return [f'{100 * segment.score:6.2f} %  '
            f'{segment.name or f"category {segment.label}"}, '
            f'{segment.area} pixels in {segment.box}'
            for segment in answer.segments]
  return [f'{100 * entry.score:6.2f} %  {entry.name}' for entry in answer]


def _write(answer: results.PanopticResult, stem: str) -> None:
  from axial_tf import visualize
  from axial_tf.files import atomic_files

  atomic_files.write(f'{stem}_panoptic.png', answer.panoptic_png)
  if answer.spec is not None:
    visualize.save_png(answer.picture, f'{stem}_overlay.png')


if __name__ == '__main__':
  define_flags()
  cli.run(main, __doc__, takes_arguments=True)
