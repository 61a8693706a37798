"""Counts false instances at the padded border: gray against repeated edge.

Networks see images padded at the right and bottom to k * output_stride + 1.
This segments the validation images of a run with each padding, whatever the
run was trained with, and counts the predicted things without counterpart in
the ground truth that reach into a strip at the right and bottom; those at the
left and top, where nothing is padded, show the effect of the border alone.

  python benchmarks/padding.py --model_dir=runs/nuclei --scales=1,1.5,2
"""

import dataclasses
import os
import pathlib
import sys

from absl import flags
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli
from axial_tf.data.common import resizing
from axial_tf.data.panoptic import pipeline as panoptic_pipeline
from axial_tf.evaluation import label_maps, panoptic_quality
from axial_tf.experiment import config
from axial_tf.files import model_folders
from axial_tf.inference import multi_scale
from axial_tf.inference import panoptic as panoptic_inference
from axial_tf.specs import dataset_spec
from axial_tf.tasks import panoptic
from axial_tf.training import checkpoints

_MODEL_DIR = cli.define_path('model_dir', None, 'folder of the run.')
_SCALES = flags.DEFINE_list('scales', ['1', '2'], 'scales, used one by one.')
_STRIP = flags.DEFINE_integer(
    'strip', 8, 'width of the strips in pixels of the image.', lower_bound=1)
_PADDINGS = ('gray', 'edge')


def false_things(pairs: label_maps.Overlaps, spec: dataset_spec.DatasetSpec
                 ) -> np.ndarray:
  """Returns the labels of predicted things that match no true segment."""
  found = pairs.predicted_segments
  _, predicted, _, iou = pairs.same_class()
  false = np.isin(found.classes, spec.thing_ids)
  false[predicted[iou > 0.5]] = False
  return found.ids[false]


def reaching(panoptic_map: np.ndarray, labels: np.ndarray, strip: int):
  """Counts labels in a strip at the right or bottom, and at the left or top."""
  return np.array([
      np.intersect1d(np.concatenate([a.ravel(), b.ravel()]), labels).size
      for a, b in (
          (panoptic_map[-strip:], panoptic_map[:, -strip:]),
          (panoptic_map[:strip], panoptic_map[:, :strip]))])


def score(inference: panoptic_inference.PanopticInference,
          settings: panoptic_pipeline.PanopticDataSettings, strip: int):
  """Returns PQ, PQ of things, and counts of false instances."""
  spec = inference.spec
  predict = tf.function(inference.predict_image, input_signature=[
      tf.TensorSpec([None, None, 3], tf.uint8)])
  quality, counts = panoptic_quality.PanopticQuality(spec), np.zeros([2], int)
  for example in panoptic_pipeline.validation_dataset(settings, spec, 1):
    truth = example['panoptic'][0].numpy()
    found = predict(example['image'][0])['panoptic_map'].numpy()
    found = resizing.nearest_array(found, *truth.shape)
    pairs = label_maps.overlaps(truth, found, spec)
    quality.add(pairs)
    counts += reaching(found, false_things(pairs, spec), strip)
  result = quality.result()
  return result['all']['pq'], result['things']['pq'], counts


def main() -> None:
  cli.require(model_dir='the folder of a training run')
  task = config.parse(
      [os.path.join(_MODEL_DIR.value, model_folders.CONFIG)]).task
  spec = dataset_spec.DatasetSpec.load(task.spec)
  print(f'strips of {_STRIP.value} pixels; trained with '
        f'{task.model.padding!r}\n\n'
        f'| scale | padding | PQ | PQ of things | false, right or bottom | '
        f'false, left or top |\n|---|---|---|---|---|---|')
  for scale in cli.numbers('scales', _SCALES.value):
    for padding in _PADDINGS:
      settings = dataclasses.replace(
          task, model=dataclasses.replace(task.model, padding=padding),
          multi_scale=multi_scale.MultiScaleSettings((scale,)))
      model = panoptic.build_model(settings, spec)
      checkpoints.restore_model(
          model, checkpoints.latest(_MODEL_DIR.value))
      quality, things, (padded, plain) = score(
          panoptic.build_inference(settings, spec, model), settings.data,
          _STRIP.value)
      print(f'| {scale:g} | {padding} | {100 * quality:.1f} | '
            f'{100 * things:.1f} | {padded} | {plain} |', flush=True)


if __name__ == '__main__':
  cli.run(main, __doc__)
