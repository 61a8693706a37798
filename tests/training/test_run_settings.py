"""Batches that replicas can share, and devices that go with a strategy."""

import pytest

from axial_tf import errors
from axial_tf.experiment import config
from axial_tf.tasks import registry
from axial_tf.training import run_settings
from tests import tiny_classes


@pytest.mark.parametrize('batch, replicas, expected', [
    (1, 1, 1), (1, 2, 2), (1, 8, 8), (2, 2, 2), (3, 2, 4), (100, 8, 104)])
def test_a_validation_batch_fits_the_replicas(batch, replicas, expected):
  settings = run_settings.RunSettings(validation_batch_size=batch)
  assert settings.validation_batch(replicas) == expected


@pytest.mark.parametrize('batch, parts, replicas, words', [
    (8, 1, 3, 'multiple of 3 (3 replicas times 1 accumulate_steps), such as '
              '6 or 9, got 8'),
    (8, 3, 1, 'multiple of 3 (1 replicas times 3 accumulate_steps), such as '
              '6 or 9, got 8'),
    (8, 4, 4, 'such as 16, got 8')])
def test_a_training_batch_that_cannot_be_shared(batch, parts, replicas, words):
  settings = run_settings.RunSettings(
      global_batch_size=batch, accumulate_steps=parts)
  with pytest.raises(errors.UserError) as error:
    settings.require_shared(replicas)
  assert 'RunSettings.global_batch_size (BATCH_SIZE' in str(error.value)
  assert words in str(error.value)


def test_a_training_batch_that_can_be_shared():
  run_settings.RunSettings(
      global_batch_size=8, accumulate_steps=2).require_shared(4)


@pytest.mark.parametrize('changes, words', [
    ({'num_gpus': -1}, 'None or an int >= 0'),
    ({'num_gpus': 2}, "'mirrored' uses several"),
    ({'worker_timeout': 0}, 'a number > 0'),
    ({'compile': 'never', 'strategy': 'tpu'}, "'auto' with the strategy 'tpu'"),
    ({'compile': 'always', 'strategy': 'multi_worker_mirrored'},
     "'auto' or 'never' with several workers")])
def test_mistakes_are_named(changes, words):
  with pytest.raises(errors.UserError, match=words):
    run_settings.RunSettings(**changes)


def test_the_default_validation_batch_works_with_two_replicas(
    tmp_path, two_replicas):
  records = tiny_classes.write(tmp_path)
  experiment = config.parse(['experiments/cifar10_axial_resnet.gin'], [
      f"RECORDS = '{records}'", *tiny_classes.BINDINGS,
      'RunSettings.validation_batch_size = 1'])
  with two_replicas.scope():
    task = registry.build(
        experiment.task, experiment.run, experiment.optimizer)
    batches = two_replicas.distribute_datasets_from_function(
        lambda context: task.build_inputs('validation', context))
    first = next(iter(batches))['image']
  assert [len(share) for share in first.values] == [1, 1]
