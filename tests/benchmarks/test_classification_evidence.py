"""Compared runs differ only in what is compared."""

import dataclasses

import pytest

from axial_tf.experiment import config
from axial_tf.layers.attention import settings as attention_settings
from benchmarks import classification_evidence


@pytest.fixture
def runs(tmp_path):
  return classification_evidence.comparisons(
      str(tmp_path), '/data/cifar10', '/data/camvid', seeds=1)


def _parse(run):
  return config.parse([run.gin_file], run.bindings)


def test_each_term_is_added_to_those_before(runs):
  experiments = [_parse(run) for run in runs['terms'].runs]
  terms = [e.task.model.backbone.terms for e in experiments]
  assert [(t.query_position, t.key_position, t.value_position)
          for t in terms] == [(False, False, False), (True, False, False),
                              (True, True, False), (True, True, True)]
  full = experiments[-1]
  for experiment in experiments:
    backbone = dataclasses.replace(
        experiment.task.model.backbone,
        terms=attention_settings.AttentionTerms())
    task = dataclasses.replace(
        experiment.task, model=dataclasses.replace(
            experiment.task.model, backbone=backbone))
    assert dataclasses.replace(experiment, task=task) == full
  assert runs['terms'].runs[-1].folder == runs['classifiers'].runs[0].folder


def test_transfer_has_the_backbone_of_the_classifier(runs):
  scratch, pretrained = (_parse(run) for run in runs['transfer'].runs)
  axial = runs['classifiers'].runs[0]
  assert pretrained.run.init_checkpoint == str(axial.folder)
  assert runs['transfer'].first == (axial,)
  assert dataclasses.replace(pretrained, run=scratch.run) == scratch
  assert dataclasses.replace(
      pretrained.run, init_checkpoint=None) == scratch.run
  panoptic = scratch.task.model.backbone
  classifier = _parse(runs['classifiers'].runs[0]).task.model.backbone
  for field in ('width_multiplier', 'blocks', 'heads', 'span', 'terms'):
    assert getattr(panoptic, field) == getattr(classifier, field), field
  # The inception stem doubles its filters.
  assert classifier.stem_filters == 2 * panoptic.stem_filters
