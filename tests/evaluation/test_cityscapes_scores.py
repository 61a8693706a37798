"""PQ, AP and mIoU of files that we write equal Cityscapes' own evaluators."""

import contextlib
import io
import os

from cityscapesscripts.evaluation import (
  evalInstanceLevelSemanticLabeling as instance_level,
)
from cityscapesscripts.evaluation import (
  evalPanopticSemanticLabeling as panoptic_level,
)
from cityscapesscripts.evaluation import (
  evalPixelLevelSemanticLabeling as pixel_level,
)
import numpy as np
from PIL import Image
import pytest

from axial_tf.evaluation import cityscapes_ap, file_scores, panoptic_files
from axial_tf.prediction.formats import cityscapes as cityscapes_results
from axial_tf.prediction.formats import coco as coco_results
from axial_tf.prediction.results import PanopticResult
from axial_tf.specs import dataset_spec

_SPEC = dataset_spec.DatasetSpec.load('cityscapes')
_DIVISOR = _SPEC.label_divisor
_HEIGHT, _WIDTH = 96, 160


def _maps(rng):
  """A street: boxes of a few classes; groups, void and small instances."""
  things = rng.choice(_SPEC.thing_ids, 3, replace=False)
  stuff = rng.choice(_SPEC.stuff_ids, 3, replace=False) * _DIVISOR
  truth = np.full([_HEIGHT, _WIDTH], stuff[0], np.int32)

  def paint(canvas, boxes, largest, labels):
    for _ in range(boxes):
      top, left = rng.integers(_HEIGHT), rng.integers(_WIDTH)
      canvas[top:top + rng.integers(4, largest),
             left:left + rng.integers(4, largest)] = rng.choice(labels)

  instances = [c * _DIVISOR + i for c in things for i in range(6)]
  paint(truth, 4, 90, [*stuff, _SPEC.void_label])
  paint(truth, 25, 40, instances)
  paint(truth, 6, 12, instances)
  prediction = np.roll(truth, rng.integers(0, 4), axis=1)
  is_group = np.isin(prediction // _DIVISOR, things) & (
      prediction % _DIVISOR == 0)
  prediction[is_group] = stuff[1]
  paint(prediction, 8, 30, [i for i in instances if i % _DIVISOR]
        + [_SPEC.void_label])
  scores = {int(label): float(np.round(rng.random(), 2))
            for label in np.unique(prediction)
            if label // _DIVISOR in _SPEC.thing_ids}
  return truth, prediction, scores


def _label_ids(labels):
  ids = np.zeros(labels.shape, np.int32)
  for category in _SPEC.categories:
    ids[labels // _DIVISOR == category.train_id] = category.id
  return ids


def _write_truth(folder, name, truth):
  """gtFine's two pictures: labelIds, and instanceIds from 0 per class."""
  folder.mkdir(exist_ok=True)
  ids, instance = _label_ids(truth), truth % _DIVISOR
  Image.fromarray(ids.astype(np.uint8)).save(
      folder / f'{name}_gtFine_labelIds.png')
  is_instance = (instance > 0) & (truth != _SPEC.void_label)
  Image.fromarray(np.where(
      is_instance, ids * 1000 + instance - 1, ids).astype(np.uint16)).save(
          folder / f'{name}_gtFine_instanceIds.png')


@pytest.fixture(scope='module')
def results(tmp_path_factory):
  """Ground truth and predictions of three images, in all formats."""
  root = tmp_path_factory.mktemp('cityscapes')
  rng = np.random.default_rng(5)
  truth_writer = coco_results.PanopticWriter(str(root / 'gt.json'), _SPEC)
  writer = coco_results.PanopticWriter(str(root / 'pred.json'), _SPEC)
  images = {}
  for number in range(3):
    name = f'town_{number:06d}_000019'
    truth, prediction, scores = images[name] = _maps(rng)
    _write_truth(root / 'gtFine', name, truth)
    truth_writer.add(name, f'{name}_gtFine_panoptic.png',
                     PanopticResult.from_map(truth, _SPEC), is_truth=True)
    result = PanopticResult.from_map(prediction, _SPEC, scores)
    writer.add(name, f'{name}_panoptic.png', result)
    cityscapes_results.write_label_ids(
        str(root / 'results' / 'semantic'), name, result)
    cityscapes_results.write_instances(
        str(root / 'results' / 'instance'), name, result)
  truth_writer.close()
  writer.close()
  return root, images


def _ours(root):
  truth = panoptic_files.PanopticFiles.load(str(root / 'gt.json'))
  prediction = panoptic_files.PanopticFiles.load(str(root / 'pred.json'))
  scores = file_scores.FileScores(truth.spec(), 'cityscapes')
  for image in panoptic_files.compare(truth, prediction, truth.spec()):
    scores.add(image)
  return scores.result()


def test_pq(results):
  root, _ = results
  ours = _ours(root)['pq']
  with contextlib.redirect_stdout(io.StringIO()):
    truth, prediction = (
        panoptic_files.PanopticFiles.load(str(root / f'{name}.json'))
        for name in ('gt', 'pred'))
    categories = {c['id']: c for c in truth.content['categories']}
    stat = panoptic_level.pq_compute_single_core(
        0, [(a, prediction.annotations[i])
            for i, a in truth.annotations.items()],
        truth.folder, prediction.folder, categories)
    official = panoptic_level.average_pq(stat, categories)
  for group in ('all', 'things', 'stuff'):
    for key in ('pq', 'sq', 'rq', 'n'):
      assert ours[group][key] == pytest.approx(
          official[group.capitalize()][key], abs=1e-12)
  assert 0.2 < ours['all']['pq'] < 0.95


def _names(root, images, pattern):
  return [str(root / pattern.format(name)) for name in images]


def test_instance_ap(results, monkeypatch, tmp_path):
  root, images = results
  monkeypatch.chdir(tmp_path)  # The evaluator leaves files there.
  # Version 2.3.0 of the evaluator is older than NumPy 2.
  monkeypatch.setattr(np, 'in1d', np.isin, raising=False)
  monkeypatch.setattr(instance_level, 'writeDict2JSON', lambda *_: None)
  args = instance_level.args
  monkeypatch.setattr(args, 'gtInstancesFile', str(tmp_path / 'gt.json'))
  monkeypatch.setattr(args, 'JSONOutput', False)
  monkeypatch.setattr(args, 'quiet', True)
  monkeypatch.setattr(
      args, 'predictionPath', os.path.abspath(root / 'results' / 'instance'))
  official = instance_level.evaluateImgLists(
      _names(root, images, 'results/instance/{}.txt'),
      _names(root, images, 'gtFine/{}_gtFine_instanceIds.png'), args)
  averages = official['averages']
  direct = cityscapes_ap.CityscapesAP(_SPEC)
  for truth, prediction, scores in images.values():
    direct.update(truth, prediction, scores)
  for ours, ids in ((direct.result(), 'train_id'), (_ours(root)['ap'], 'id')):
    assert ours['ap'] == pytest.approx(averages['allAp'], abs=1e-12)
    assert ours['ap50'] == pytest.approx(averages['allAp50%'], abs=1e-12)
    for category in _SPEC.categories:
      if category.is_thing:
        expected = averages['classes'][category.name]['ap']
        value = ours['per_class'][getattr(category, ids)]
        if np.isnan(expected):
          assert value is None, category.name
        else:
          assert value == pytest.approx(expected, abs=1e-12), category.name
  assert 0.05 < averages['allAp'] < 0.9


def test_instance_ap_does_not_depend_on_which_worker_has_an_image(results):
  whole, first, none, last = (
      cityscapes_ap.CityscapesAP(_SPEC) for _ in range(4))
  images = list(results[1].values())
  for image in images:
    whole.update(*image)
  last.update(*images[0])
  for image in reversed(images[1:]):
    first.update(*image)
  first.merge(none)
  first.merge(last)
  assert first.result() == whole.result()
  assert 0 < whole.result()['ap'] < 1


def test_mean_iou(results, monkeypatch):
  root, images = results
  args = pixel_level.args
  for key, value in (('quiet', True), ('JSONOutput', False),
                     ('evalInstLevelScore', False)):
    monkeypatch.setattr(args, key, value)
  with contextlib.redirect_stdout(io.StringIO()):
    official = pixel_level.evaluateImgLists(
        _names(root, images, 'results/semantic/{}_labelIds.png'),
        _names(root, images, 'gtFine/{}_gtFine_labelIds.png'), args)
  ours = _ours(root)['miou']
  assert ours['miou'] == pytest.approx(
      official['averageScoreClasses'], abs=1e-12)
  for category in _SPEC.categories:
    expected = official['classScores'][category.name]
    value = ours['per_class'][category.id]
    if np.isnan(expected):
      assert value is None
    else:
      assert value == pytest.approx(expected, abs=1e-12)
