"""Compared runs differ only in what is compared."""

import dataclasses

import pytest

from axial_tf.experiment import config
from axial_tf.layers.attention import settings as attention_settings
from axial_tf.tasks import registry
from benchmarks import panoptic_evidence


@pytest.fixture
def parts(tmp_path):
  return panoptic_evidence.comparisons(str(tmp_path), '/data/camvid', seeds=2)


def _parse(run):
  return config.parse([run.gin_file], run.bindings)


def _backbone(experiment):
  return experiment.task.model.backbone


def _with_backbone(experiment, backbone):
  return dataclasses.replace(experiment, task=dataclasses.replace(
      experiment.task, model=dataclasses.replace(
          experiment.task.model, backbone=backbone)))


def test_only_the_backbones_and_the_seeds_differ(parts):
  for comparison in parts.values():
    experiments = [_parse(run) for run in comparison.runs]
    first = experiments[0]
    for other in experiments:
      seeded = dataclasses.replace(other, run=dataclasses.replace(
          other.run, seed=first.run.seed))
      assert _with_backbone(seeded, _backbone(first)) == first
    seeds = [experiment.run.seed for experiment in experiments]
    assert seeds == sorted(seeds) and set(seeds) == {1, 2}


def test_the_resnet_has_no_fewer_parameters_and_multiply_adds(parts):
  counts = []
  for run in parts['backbones'].runs[:2]:
    settings = _parse(run)
    model = registry.build(
        settings.task, settings.run, settings.optimizer).build_model()
    counts.append((
        sum(v.shape.num_elements() for v in model.trainable_variables),
        model.multiply_adds(*settings.task.data.augmentation.crop_size)))
  (axial_parameters, axial_madds), (parameters, madds) = counts
  assert axial_parameters <= parameters < 1.3 * axial_parameters
  assert axial_madds <= madds < 1.1 * axial_madds


def test_terms_and_spans_have_the_papers_model_in_common(parts):
  content, paper = (_backbone(_parse(run)) for run in parts['terms'].runs[:2])
  assert content.terms == attention_settings.AttentionTerms(
      query_position=False, key_position=False, value_position=False)
  assert paper.terms == attention_settings.AttentionTerms()
  assert dataclasses.replace(content, terms=paper.terms) == paper
  spans = [_backbone(_parse(run)).span for run in parts['spans'].runs]
  assert spans == 2 * [5, 9, 17, None]
  assert parts['spans'].runs[-1].folder == parts['terms'].runs[-1].folder
