"""The networks of the authors' PyTorch code, by their gin file."""

import pytest
import tensorflow as tf

from axial_tf.experiment import config
from axial_tf.layers.attention import tables
from axial_tf.models import classifier

# Sizes of the features that the first block of each layer sees, at 224x224.
_SIDES = (56, 56, 28, 14)


@pytest.mark.parametrize('width, blocks, count', [
    # The totals of their state_dicts, without moving statistics.
    (0.5, (1, 2, 4, 1), 5_944_936), (0.5, (3, 4, 6, 3), 11_586_216),
    (0.75, (3, 4, 6, 3), 25_179_400), (1.0, (3, 4, 6, 3), 43_973_480)])
def test_published_counts(width, blocks, count):
  """Ours have longer tables of positions, for images of any size."""
  experiment = config.parse(['experiments/imagenet_csrhddlam.gin'], [
      "RECORDS = 'none'", f'WIDTH = {width}', f'BLOCKS = {blocks}'])
  settings = experiment.task.model.backbone
  assert settings.norm.epsilon == 1e-5
  assert settings.average_pooling and settings.standardize_images
  model = classifier.Classifier(
      experiment.task.model, experiment.task.num_classes)
  model(tf.zeros([1, 32, 32, 3]))
  ours = sum(v.shape.num_elements() for v in model.trainable_variables)
  more = 0
  for stage, (first, number) in enumerate(zip(_SIDES, blocks)):
    channels = int(128 * width) << stage
    for block in range(number):
      side = first if block == 0 or stage == 0 else first // 2
      rows = tables.TABLE_ROWS - (2 * side - 1)
      more += 2 * rows * (2 * channels // 8)  # Two axes.
  assert ours - more == count
