"""Scores panoptic result files of any origin, without a model.

Example:
  python -m axial_tf.evaluate --predictions=results/panoptic_val2017.json \\
    --ground_truth=annotations/panoptic_val2017.json --json=scores.json

Predictions and ground truth are each a JSON file and a folder of PNGs in COCO's
panoptic format, as for panopticapi; Cityscapes and Mapillary Vistas use it,
too. The PNGs of X.json are expected in the folder X. Prints PQ of things and
stuff, mean IoU, Parsing Covering, and, where all predicted things have a
"score", their AP.

--format selects the rules for AP and mean IoU: with cityscapes, groups of
objects count in the mean IoU, and the AP is that of its evaluator.
"""

import json
import sys

from absl import flags

from axial_tf import cli
from axial_tf.files import paths

FLAGS = flags.FLAGS


def _define_flags() -> None:
  cli.define_path(
      'predictions', None, 'JSON file of the predictions.', local=True)
  cli.define_path(
      'ground_truth', None, 'JSON file of the ground truth.', local=True)
  flags.DEFINE_enum(
      'format', 'coco', ['coco', 'cityscapes', 'mapillary'], 'data set whose '
      'scoring rules apply; mapillary uses coco\'s.')
  cli.define_path(
      'predictions_dir', None, 'folder of the predicted PNGs, if it is not '
      'named after the JSON file.', local=True)
  cli.define_path(
      'ground_truth_dir', None, 'folder of the ground truth PNGs, if it is not '
      'named after the JSON file.', local=True)
  cli.define_path(
      'json', None, 'file for all scores, as fractions in full precision.')
  flags.DEFINE_bool('per_class', False, 'whether to print each class.')


def main() -> None:
  cli.require(predictions='a panoptic JSON file',
              ground_truth='a panoptic JSON file')
  paths.require_reachable(FLAGS.json)

  from tqdm import tqdm

  from axial_tf.evaluation import file_scores, panoptic_files
  from axial_tf.files import atomic_files

  truth = panoptic_files.PanopticFiles.load(
      FLAGS.ground_truth, FLAGS.ground_truth_dir)
  prediction = panoptic_files.PanopticFiles.load(
      FLAGS.predictions, FLAGS.predictions_dir)
  spec = truth.spec()
  scores = file_scores.FileScores(spec, FLAGS.format)
  for image in tqdm(panoptic_files.compare(truth, prediction, spec),
                    total=len(truth.annotations), unit=' images',
                    leave=False, file=sys.stderr):
    scores.add(image)
  result = scores.result()
  if FLAGS.json:
    text = json.dumps(result, indent=1, allow_nan=False) + '\n'
    atomic_files.write(FLAGS.json, text.encode())
  print(scores.format_table(FLAGS.per_class))


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__)
