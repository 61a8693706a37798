"""Runs and exports of an earlier version continue to work.

Its checkpoints know blocks by numbers, backbone/stages/0/0, rather than by
names. See fixtures/earlier_run/README.md.
"""

import dataclasses
import json
import os
import pathlib
import shutil

import numpy as np
import pytest

import axial_tf
from axial_tf.experiment import config, restore, run
from axial_tf.export import model_json, saved_model
from axial_tf.files import model_folders
from axial_tf.panoptic import merging_settings
from axial_tf.tasks import registry
from axial_tf.training import checkpoints, initialization
from tests import lines

# The numbers of earlier versions are tested here, not graphs.
pytestmark = pytest.mark.usefixtures('eager')

_FIXTURE = pathlib.Path(__file__).parent / 'fixtures' / 'earlier_run'
# It holds for a whole process and has no effect on the numbers here.
_FREE = 'RunSettings.deterministic = False'
# Learning rate of the runs, the smaller one.
_RATE = 0.01


@pytest.fixture(scope='module')
def expected():
  return json.loads((_FIXTURE / 'expected.json').read_text())


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """A copy of the fixture; its files name each other from inside of it."""
  copy = tmp_path_factory.mktemp('earlier') / 'runs'
  shutil.copytree(_FIXTURE, copy)
  shutil.unpack_archive(copy / 'export.zip', copy / 'export')
  return copy


@pytest.fixture(scope='module')
def inferences(folder):
  """Both runs' models."""
  with pytest.MonkeyPatch.context() as patch:
    patch.chdir(folder)
    return {model_dir: restore.load_inference(model_dir)
            for model_dir in ('run', 'classifier_run')}


@pytest.fixture(autouse=True)
def inside(folder, monkeypatch):
  monkeypatch.chdir(folder)


@pytest.mark.parametrize('model_dir', ['run', 'classifier_run'])
def test_validation_gives_the_recorded_metrics(model_dir):
  metrics = run.run(
      config.parse([f'{model_dir}/config.gin'], [_FREE]), model_dir, 'eval')
  recorded = lines.last_metrics(model_dir)
  recorded.pop('step')
  assert metrics == pytest.approx(recorded, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize('file, model_dir, steps, newest', [
    ('experiment.gin', 'run', 300, 'ckpt-300'),
    ('classifier_run/config.gin', 'classifier_run', 10, 'ckpt-10')])
def test_a_run_continues_as_it_would_have(
    file, model_dir, steps, newest, expected):
  """Weights, slots, slow weights and averages are those of that version."""
  continued = f'continued_{model_dir}'
  shutil.copytree(model_dir, continued)
  run.run(config.parse([file], [_FREE, f'TRAIN_STEPS = {steps}']),
          continued, 'train_and_eval')
  assert lines.last_metrics(continued)['step'] == steps
  assert os.path.basename(checkpoints.latest(continued)) == newest
  found = lines.numbers(checkpoints.latest(continued))
  wanted = expected['continued'][model_dir]
  assert found.keys() == wanted.keys()
  assert any('/.OPTIMIZER_SLOT/' in name for name in wanted)
  for name, (norm, product) in wanted.items():
    # Another order of sums flips the sign of some offset's L1 gradient. Of a
    # weight near 0, the last step is what counts: half a percent of it.
    tolerance = 2e-2 if '/.OPTIMIZER_SLOT/' in name else 1e-3
    np.testing.assert_allclose(found[name], (norm, product), err_msg=name,
                               atol=tolerance * norm + 5e-3 * _RATE)


@pytest.mark.parametrize('model', ['run', 'export'])
def test_segments(model, expected):
  found = axial_tf.Predictor(model)('scene.png').segments
  assert [s.name for s in found] == [s['name'] for s in expected['segments']]
  for segment, wanted in zip(found, expected['segments']):
    assert segment.id == wanted['id']
    assert segment.area == pytest.approx(wanted['area'], abs=2)
    assert segment.box == pytest.approx(wanted['box'], abs=1)
    assert segment.score == pytest.approx(wanted['score'], abs=1e-3)


def test_an_export_has_the_same_rules(inferences):
  inference = inferences['run']
  earlier = model_folders.read_model_json(model_folders.find('export').path)
  rules = json.loads(json.dumps({
      'dataset_spec': inference.spec.to_json(),
      **model_json.panoptic(inference)}))
  # Settings that are newer than the export have their defaults.
  earlier['merging'] = dataclasses.asdict(
      merging_settings.MergingSettings(**earlier['merging']))
  assert rules == {key: earlier[key] for key in rules}


def test_the_best_checkpoint_holds_what_validation_used(inferences):
  """It holds slow weights in place of the model's."""
  best = restore.load_inference('run', 'run/best').model.variables
  for a, b in zip(inferences['run'].model.variables, best):
    np.testing.assert_array_equal(a, b)


def test_classes(expected):
  _require_classes('classifier_run', expected)


def test_export(inferences, expected):
  saved_model.export_saved_model(inferences['classifier_run'], 'exported')
  _require_classes('exported', expected)


def _require_classes(model, expected):
  found = axial_tf.ImageClassifier(model)('scene.png', top=3)
  assert {entry.name: entry.probability for entry in found} == pytest.approx(
      expected['classes'], abs=1e-3)


@pytest.mark.parametrize('model_dir', ['run', 'classifier_run'])
def test_a_new_run_begins_with_all_weights(model_dir, inferences):
  task = config.parse([f'{model_dir}/config.gin']).task
  inference = inferences[model_dir]
  model = registry.of(task).build_model(task, inference.spec)
  report = initialization.load(model, model_dir)
  assert len(report.loaded) == len(model.variables)
  assert not (report.mismatched or report.missing or report.unused)
  assert 'backbone/stage2 ' in report.format_table()
  for a, b in zip(model.variables, inference.model.variables):
    np.testing.assert_array_equal(a, b)
