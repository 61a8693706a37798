"""The tuning of a run: what it reports, writes and refuses."""

import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.evaluation import panoptic_quality
from axial_tf.experiment import config, restore, run, tuned
from axial_tf.inference import multi_scale
from axial_tf.panoptic import merging
from axial_tf.specs import dataset_spec
from axial_tf.tuning import heads, scoring, search, tuning
from tests import color_model, lines, tools

# The numbers are tested, not graphs.
pytestmark = pytest.mark.usefixtures('eager')

_FIXTURE = pathlib.Path(__file__).parent.parent / 'fixtures' / 'earlier_run'
_FREE = 'RunSettings.deterministic = False'
# Loses things and stuff: there is something to gain.
_POOR = (
    _FREE, 'PanopticTaskSettings.merging = @MergingSettings()',
    'MergingSettings.center_threshold = 9.0',
    'MergingSettings.stuff_area_limit = 100000')
_POOR_FLAGS = tuple(f'--gin_params={binding}' for binding in _POOR)
_VIEWS = multi_scale.MultiScaleSettings((0.5, 1.0))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """A copy of a run and its records; its files name each other from inside."""
  copy = tmp_path_factory.mktemp('tune') / 'runs'
  shutil.copytree(_FIXTURE, copy)
  return copy


@pytest.fixture(autouse=True)
def inside(folder, monkeypatch):
  monkeypatch.chdir(folder)
  monkeypatch.setattr(
      search, '_OF_THINGS', {'center_threshold': (0.1, 0.2)})
  monkeypatch.setattr(search, '_OF_STUFF', {'stuff_area_limit': (0, 16)})
  yield
  tuned.reset('run')


def _settings(*bindings):
  return config.parse(['run/config.gin'], [_FREE, *bindings])


def _tuning(**changes):
  """What a tuning of the run as configured might have chosen."""
  task = _settings().task
  start = tuned.Choice.of(task, dataset_spec.DatasetSpec.load(task.spec))
  choice = dataclasses.replace(start, merging=dataclasses.replace(
      start.merging, stuff_area_limit=100_000))
  return dataclasses.replace(tuned.Tuning(
      'ckpt-298', task.data.validation_pattern, 2, start, choice,
      (choice, choice), tuned.Scores(0.5, 0.6, 0.55)), **changes)


@pytest.mark.slow
def test_scores_are_those_of_eval_and_the_tuned_ones_come_after(capfd):
  done = tools.succeeds('axial_tf.tune', '--model_dir=run', *_POOR_FLAGS)
  assert 'cross-fitted' in done.stdout and 'ball' in done.stdout
  content = json.loads(pathlib.Path('run/tuning.json').read_text())
  pq = content['pq']
  assert pq['configured'] < pq['cross_fitted'] <= pq['tuned']
  assert content['tuned']['merging']['center_threshold'] in (0.1, 0.2)

  found = run.run(_settings(*_POOR), 'run', 'eval')
  assert found['pq'] == pq['tuned']
  assert (f'merging: tuned on 2 of these images; cross-fitted PQ '
          f'{100 * pq["cross_fitted"]:.2f}') in capfd.readouterr().err
  assert 'removed' in tools.succeeds(
      'axial_tf.tune', '--model_dir=run', '--reset').stdout
  assert tuned.load('run') is None


def test_settings_that_were_changed_since_are_not_replaced():
  made = _tuning()
  task = _settings().task
  spec = dataset_spec.DatasetSpec.load(task.spec)
  assert made.replace(task, spec).merging == made.tuned.merging
  views = dataclasses.replace(task, multi_scale=_VIEWS)
  found = made.replace(views, spec)
  assert found.merging == made.tuned.merging and found.multi_scale == _VIEWS
  own = dataclasses.replace(task, merging=merging.MergingSettings(0.3))
  assert made.replace(own, spec) == own
  line = made.describe(tuned.Choice.of(own, spec), 'run/ckpt-299', 'x-*')
  assert 'figures are of ckpt-298 and not of ckpt-299' in line
  assert 'not used: its merging, which was set otherwise' in line
  assert f'images of {made.validation_pattern}' in line


@pytest.mark.slow
def test_views_are_averaged_as_in_eval():
  settings = _settings()
  several = dataclasses.replace(settings, task=dataclasses.replace(
      settings.task, multi_scale=_VIEWS))
  found = tuning.tune(several, 'run', 'run/ckpt-298')
  assert found.tuning.pq.configured == run.run(several, 'run', 'eval')['pq']


def test_nothing_is_written_without_a_gain_unless_asked(
    monkeypatch, tune=tuning.tune):
  arguments = ('axial_tf.tune', '--model_dir=run', f'--gin_params={_FREE}')
  results = []
  monkeypatch.setattr(tuning, 'tune', lambda *given, **options: (
      results or results.append(tune(*given, **options)) or results)[0])
  assert 'nothing written' in tools.succeeds(*arguments).stdout
  assert tuned.load('run') is None
  assert 'written' in tools.succeeds(*arguments, '--always_write').stdout
  assert tuned.load('run').images == 2


@pytest.mark.slow
def test_predictions_use_it_but_not_validations_of_training(capfd):
  recorded = lines.last_metrics(_FIXTURE / 'run')['pq']
  tuned.save('run', _tuning(checkpoint='ckpt-149'))
  inference = restore.load_inference('run')
  assert inference.merging.stuff_area_limit == 100_000
  capfd.readouterr()
  found = run.run(_settings(), 'run', 'train_and_eval')
  assert found['pq'] == pytest.approx(recorded, rel=1e-3)
  error = capfd.readouterr().err
  assert 'not used by validations' in error and 'cross-fitted' not in error


@pytest.mark.parametrize('text', ['{', '[]', '{"images": 2}'])
def test_a_damaged_file_is_named(text):
  pathlib.Path('run/tuning.json').write_text(text)
  with pytest.raises(errors.UserError, match='tuning.json.*--reset'):
    restore.load_inference('run')
  tools.succeeds('axial_tf.tune', '--model_dir=run', '--reset')


def test_a_wrong_value_in_the_file_is_named():
  content = dataclasses.asdict(_tuning())
  content['tuned']['merging']['nms_kernel'] = 4
  pathlib.Path('run/tuning.json').write_text(json.dumps(content))
  with pytest.raises(errors.UserError, match='tuning.json.*nms_kernel'):
    restore.load_inference('run')


@pytest.mark.parametrize('model_dir, words', [
    ('classifier_run', 'expected a model of panoptic segmentation'),
    ('empty', 'no checkpoint'), ('nothing', 'no such folder')])
def test_other_folders_are_refused(model_dir, words):
  pathlib.Path('empty').mkdir(exist_ok=True)
  shutil.copy('run/config.gin', 'empty')
  assert words in tools.refused('axial_tf.tune', f'--model_dir={model_dir}')


def test_an_export_is_refused():
  shutil.unpack_archive('export.zip', 'export')
  line = tools.refused('axial_tf.tune', '--model_dir=export')
  assert 'is an export' in line and 'tune the training run' in line


def test_one_image_is_refused(tmp_path):
  shutil.copytree('records', tmp_path / 'one')
  first, *others = sorted((tmp_path / 'one').glob('val-*'))
  assert not others
  record = next(iter(tf.data.TFRecordDataset(str(first)))).numpy()
  with tf.io.TFRecordWriter(str(first)) as writer:
    writer.write(record)
  line = tools.refused(
      'axial_tf.tune', '--model_dir=run', f'--gin_params={_FREE}',
      f"--gin_params=RECORDS = '{tmp_path / 'one'}'")
  assert 'at least 2 validation images' in line and 'got 1' in line


def test_the_search_finds_the_best_of_independent_settings(monkeypatch):
  monkeypatch.setattr(search, '_OF_THINGS', {
      'center_threshold': (0.1, 0.2, 0.3), 'nms_kernel': (3, 7, 13)})
  start = tuned.Choice(
      merging.MergingSettings(), multi_scale.MultiScaleSettings())

  def score(choice):
    settings = choice.merging
    return (-abs(settings.center_threshold - 0.2)
            - abs(settings.nms_kernel - 13) + len(choice.multi_scale.scales))

  best = search.fit(
      score, start, [start.multi_scale, _VIEWS], color_model.SPEC)
  assert best == tuned.Choice(dataclasses.replace(
      start.merging, center_threshold=0.2, nms_kernel=13), _VIEWS)
  # Where nothing gains, nothing changes.
  assert search.fit(lambda _: 0.0, start, [start.multi_scale, _VIEWS],
                    color_model.SPEC) == start


class _Scorer(scoring.Scorer):
  """Each half is perfect with a threshold of its own, and else lost."""

  def __init__(self):
    super().__init__({}, color_model.SPEC)

  def _score(self, choice):
    truth = np.full([4, 4], color_model.BALL + 1)
    halves = tuple(panoptic_quality.PanopticQuality(color_model.SPEC)
                   for _ in range(2))
    for half, threshold in zip(halves, (0.1, 0.2)):
      half.update(truth, truth if threshold == choice.merging.center_threshold
                  else np.full_like(truth, color_model.GROUND))
    return halves


def test_each_half_is_scored_with_the_choice_of_the_other():
  start = tuned.Choice(
      merging.MergingSettings(0.5), multi_scale.MultiScaleSettings())
  found = tuning.cross_fit(
      _Scorer(), start, [start.multi_scale], color_model.SPEC,
      {'checkpoint': 'c', 'validation_pattern': 'x', 'images': 2}).tuning
  assert [half.merging.center_threshold for half in found.halves] == [0.1, 0.2]
  assert found.pq.configured == found.pq.cross_fitted == 0 < found.pq.tuned


@pytest.mark.parametrize('options', [
    {'suppression': 'window'}, {'suppression': 'border'}])
def test_what_is_stored_suffices_for_the_merging(
    tmp_path, monkeypatch, options):
  rng = np.random.default_rng(0)
  outputs = {
      'semantic': rng.integers(0, 3, [5, 7]).repeat(6, 0).repeat(5, 1).astype(
          np.int32),
      'center_heatmap': np.float32(rng.random([30, 35]) ** 2),
      'offset': np.float32(rng.normal(scale=5, size=[30, 35, 2]))}
  truth = {key: np.int32(3) for key in heads.TRUTH}
  path = heads.path_of(str(tmp_path), 4)
  settings = merging.MergingSettings(
      0.3, 3, stuff_area_limit=40, min_agreement=0.1, **options)
  monkeypatch.setattr(search, 'LOWEST_THRESHOLD', 0.3)
  heads.write(path, outputs, truth, color_model.SPEC,
              tuning.least_heat(settings))
  stored = heads.read(path, color_model.SPEC)
  first, second = (merging.merge_classes(
      *(tf.constant(maps[key])[tf.newaxis] for key in outputs), classes=3,
      thing_ids=color_model.SPEC.thing_ids, label_divisor=100, void_label=900,
      settings=settings)['panoptic_map'] for maps in (outputs, stored))
  np.testing.assert_array_equal(first, second)
  assert len(np.unique(first)) > 4
