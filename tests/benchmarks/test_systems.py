"""The four systems differ in nothing but the network and its own settings."""

import dataclasses
import json

import pytest

from axial_tf import errors
from axial_tf.experiment import config
from axial_tf.models import deeperlab, panoptic_deeplab, ssap
from axial_tf.specs import dataset_spec
from benchmarks import systems

_SHARED = systems.bindings('/data/cells', [65, 81])
_STEPS = {title: 100 + number for number, title in enumerate(systems.SIDES)}


def test_recipes_are_equal_and_backbones_of_one_width(tmp_path):
  runs = systems.comparison(_SHARED, _STEPS, tmp_path, seeds=2).runs
  assert len(runs) == 8 and len({run.folder for run in runs}) == 8
  parsed = [config.parse([run.gin_file], run.bindings) for run in runs]
  for run, experiment in zip(runs, parsed):
    assert experiment.run.train_steps == _STEPS[run.title]
    assert experiment.task.spec == '/data/cells/dataset_info.json'
  assert [type(experiment.task.model) for experiment in parsed[:4]] == [
      panoptic_deeplab.PanopticDeepLabSettings,
      panoptic_deeplab.PanopticDeepLabSettings,
      deeperlab.DeeperLabSettings, ssap.SSAPSettings]
  first = parsed[0]
  for experiment in parsed[1:4]:
    assert dataclasses.replace(
        experiment.task.data, targets=first.task.data.targets) == (
            first.task.data)
    assert experiment.optimizer == dataclasses.replace(
        first.optimizer, warmup_steps=experiment.optimizer.warmup_steps)
    assert experiment.task.model.backbone.width_multiplier == 0.25
    assert experiment.task.model.backbone.blocks == (1, 2, 2, 1)
    assert experiment.run.global_batch_size == first.run.global_batch_size


def test_an_ablation_changes_one_setting_of_the_same_run(tmp_path):
  spec = dataset_spec.DatasetSpec.load('cityscapes')
  base = {run.folder: run for run in systems.comparison(
      _SHARED, _STEPS, tmp_path, seeds=1).runs}
  for part, (title, changes) in systems.ABLATIONS.items():
    runs = systems.ablation(part, _SHARED, _STEPS, tmp_path, 1, spec).runs
    assert [run.title for run in runs] == [title, *changes]
    assert runs[0] == base[runs[0].folder]
    parsed = [config.parse([run.gin_file], run.bindings) for run in runs]
    assert len({str(experiment.task) for experiment in parsed}) == len(runs)
    assert len({str(experiment.run) for experiment in parsed}) == 1
  one_level = parsed[-1].task
  assert one_level.losses.level_weights == (0, 0, 0, 0, 1)
  assert one_level.merging.strides == (4,)
  assert one_level.merging.stuff_area_limit == 2048


def test_steps_are_measured_once(tmp_path, monkeypatch):
  monkeypatch.setattr(
      systems.measure, 'in_new_process', lambda *arguments: 0.5)
  path = tmp_path / 'steps.json'
  assert set(systems.steps_by_title(_SHARED, 2.0, path).values()) == {240}
  path.write_text(json.dumps(_STEPS))
  assert systems.steps_by_title(_SHARED, 2.0, path) == _STEPS


@pytest.mark.parametrize('content', ['[]', '{"SSAP": 3}', '{"SSAP": "many"}'])
def test_steps_that_are_none(tmp_path, content):
  path = tmp_path / 'steps.json'
  path.write_text(content)
  with pytest.raises(errors.UserError, match='steps.json.*measure again'):
    systems.steps_by_title(_SHARED, 2.0, path)
