"""Shows what a model makes of pictures, on a page in a browser.

Examples:
  python -m axial_tf.app --model=demo/export
  python -m axial_tf.app --model=runs/demo --port=8000

Prints the address of the page, http://127.0.0.1:7860, and serves it until
Ctrl-C. Drop a JPEG or PNG there: its segments, a legend, their table, and the
files of axial_tf.predict to save. Sliders change how the segments are merged
without running the network again. With a training run, scales and flip can be
chosen, and a click on a pixel shows what it attends to. A classifier shows its
most probable classes. docs/app.md describes the page.

It needs the extra `app`. Only this machine can open the page unless --host
says otherwise: there is no password. It asks no other machine for anything,
shows no other file, and writes to a temporary folder that it deletes.
"""

import sys

from absl import flags

from axial_tf import cli, errors
from axial_tf.app import confinement
from axial_tf.files import model_folders

FLAGS = flags.FLAGS


def _define_flags() -> None:
  cli.define_path(
      'model', None, 'folder of an export, of one of its versions, or of a '
      'training run.')
  flags.DEFINE_integer(
      'port', 7860, 'port of the page; 0 for any that is free.',
      lower_bound=0, upper_bound=65535)
  flags.DEFINE_string(
      'host', '127.0.0.1', 'address of this machine to serve at; 0.0.0.0 lets '
      'everyone in who can reach it.')
  flags.DEFINE_integer(
      'max_pixels', None, 'height times width of the largest picture that is '
      'decoded. Default: that of the export, or 50,000,000.', lower_bound=1)
  flags.DEFINE_integer(
      'memory', 2000, 'megabytes for what the network made of the latest '
      'pictures, which is merged again.', lower_bound=1)


def main() -> None:
  cli.require(model='an export or a training run')
  task = model_folders.find(FLAGS.model).task
  if sys.version_info < (3, 10):
    raise errors.UserError(
        f'the page needs Python 3.10 or newer, for which Gradio 6 exists; this '
        f'is {sys.version_info[0]}.{sys.version_info[1]}')
  with confinement.folder() as folder:
    _serve(task, folder)


def _serve(task, folder: str) -> None:
  from axial_tf.app import page, server, uploads

  gr = page.gradio()
  with server.listen(FLAGS.host, FLAGS.port) as listening:
    source = uploads.Uploads(folder, _max_pixels())
    build = (_classification if task is model_folders.CLASSIFICATION
             else _segmentation)
    blocks, file = build(gr, source)
    app = server.application(gr, blocks, file)
    print(f'{FLAGS.model} is shown at {server.address(listening)} until '
          f'Ctrl-C', flush=True)
    server.serve(app, listening)


def _segmentation(gr, source):
  from axial_tf.app import (
    segmentation,
    segmentation_page,
    segmentation_viewer,
  )

  model = segmentation.Segmentation(FLAGS.model)
  model.warm_up()
  viewer = segmentation_viewer.SegmentationViewer(
      model, source, FLAGS.memory * 10 ** 6)
  return segmentation_page.build(gr, viewer), viewer.file


def _classification(gr, source):
  from axial_tf.app import classification_page, classification_viewer
  from axial_tf.prediction import image_classifier

  viewer = classification_viewer.ClassificationViewer(
      image_classifier.ImageClassifier(FLAGS.model), source,
      FLAGS.memory * 10 ** 6)
  return classification_page.build(gr, viewer), viewer.file


def _max_pixels() -> int:
  """Returns the largest number of pixels that is decoded."""
  from axial_tf.export import serving_settings

  folder = model_folders.find(FLAGS.model)
  own = serving_settings.ServingSettings().max_pixels
  if folder.is_export:
    content = model_folders.read_model_json(folder.path)
    own = content.get('serving', {}).get('max_pixels', own)
  return min(own, FLAGS.max_pixels or own)


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__)
