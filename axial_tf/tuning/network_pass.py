"""Runs the network over the validation images exactly as a validation does."""

import itertools
from typing import List, Optional

import numpy as np
import tensorflow as tf

from axial_tf.data import reading_errors
from axial_tf.experiment import experiment, out_of_memory
from axial_tf.tasks import registry
from axial_tf.training import checkpoints, progress
from axial_tf.tuning import heads


def run(settings: experiment.Experiment, strategy: tf.distribute.Strategy,
        model_dir: str, checkpoint: str, folder: str, threshold: float,
        limit: Optional[int] = None) -> List[heads.Image]:
  """Stores the heads of the validation images.

  Args:
    settings: settings of the run, with the views.
    strategy: strategy of the validation.
    model_dir: folder of the run, for errors.
    checkpoint: path of the checkpoint.
    folder: folder for the files.
    threshold: see `heads.write`.
    limit: number of images; None for all.

  Returns:
    The images by their names, so that the frames of a film are neighbors.

  Raises:
    errors.UserError: records, checkpoint or memory do not suffice.
  """
  with strategy.scope():
    task = registry.build(settings.task, settings.run, settings.optimizer)
    model = task.build_model()
    checkpoints.restore_model(model, checkpoint)

  def infer(inputs):
    outputs = task.segment(inputs['image'], inputs['height'], inputs['width'])
    return {
        'semantic': tf.argmax(
            outputs['semantic_probabilities'], -1, output_type=tf.int32),
        **{key: tf.cast(outputs[key], tf.float32)
           for key in ('center_heatmap', 'offset')}}

  def images():
    dataset = strategy.distribute_datasets_from_function(
        lambda context: task.build_inputs('validation', context))
    # One graph for all sizes, as in a validation.
    step = tf.function(
        lambda inputs: strategy.run(infer, [inputs]), autograph=False,
        input_signature=[dataset.element_spec])
    for inputs in dataset:
      outputs = step(inputs)
      both = {**inputs, **outputs}
      keys = [key for key in both if key != 'image']
      for replica in zip(*(
          strategy.experimental_local_results(both[key]) for key in keys)):
        for values in zip(*(value.numpy() for value in replica)):
          yield dict(zip(keys, values))

  data = settings.task.data
  found = []
  with strategy.scope(), out_of_memory.validation(settings, model_dir), (
      reading_errors.reading_errors(
          data.train_pattern, data.validation_pattern)), (
              progress.validation_bar()) as bar:
    for image in itertools.islice(images(), limit):
      size = slice(int(image['raw_height'])), slice(int(image['raw_width']))
      truth = {**image, 'panoptic': image['panoptic'][size]}
      path = heads.path_of(folder, int(image['place']))
      heads.write(path, image, truth, task.spec, threshold)
      found.append(heads.Image(
          np.asarray(image['filename']).item().decode(errors='replace'),
          int(image['place']), path))
      bar.update()
  return sorted(found)
