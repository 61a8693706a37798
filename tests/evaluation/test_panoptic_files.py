"""PQ of files equals two official tools; inconsistent files are refused."""

import contextlib
import io
import json

import hotcoco.panoptic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import numpy as np
from PIL import Image
import pytest

from axial_tf import errors
from axial_tf.evaluation import file_scores, panoptic_files
from tests.evaluation import panoptic_scenes as scenes

try:
  from panopticapi import evaluation
except ImportError:  # It needs numpy 1.
  evaluation = None
needs_panopticapi = pytest.mark.skipif(
    evaluation is None, reason='panopticapi-lite needs Python before 3.12')


def _score(truth, prediction, rules='coco'):
  truth = panoptic_files.PanopticFiles.load(str(truth))
  prediction = panoptic_files.PanopticFiles.load(str(prediction))
  spec = truth.spec()
  scores = file_scores.FileScores(spec, rules)
  for image in panoptic_files.compare(truth, prediction, spec):
    scores.add(image)
  return scores.result()


def panopticapi_counts(truth, prediction):
  """Sum of IoU, TP, FP, FN by category id, as panopticapi counts them."""
  contents = [json.load(open(p)) for p in (truth, prediction)]
  predicted = {a['image_id']: a for a in contents[1]['annotations']}
  pairs = [(a, predicted[a['image_id']]) for a in contents[0]['annotations']]
  with contextlib.redirect_stdout(io.StringIO()):
    stat = evaluation.pq_compute_single_core(
        0, pairs, truth[:-5], prediction[:-5],
        {c['id']: c for c in contents[0]['categories']})
  return {c['id']: (stat[c['id']].iou, stat[c['id']].tp, stat[c['id']].fp,
                    stat[c['id']].fn) for c in contents[0]['categories']}


def test_equals_panopticapi_and_hotcoco_on_random_files(tmp_path):
  seen = set()

  @settings(max_examples=120, deadline=None,
            suppress_health_check=list(HealthCheck))
  @given(st.integers(0, 2**32 - 1), st.integers(1, 3))
  def check(seed, count):
    rng = np.random.default_rng(seed)
    pairs = [scenes.scene(rng) for _ in range(count)]
    truth, prediction = (
        scenes.write([p[i] for p in pairs], tmp_path / f'{i}.json')
        for i in range(2))
    ours = _score(truth, prediction)['pq']
    if evaluation is not None:
      expected = panopticapi_counts(truth, prediction)
      for category, scores in ours['per_class'].items():
        iou, *counts = expected[category]
        assert [scores['tp'], scores['fp'], scores['fn']] == counts, category
        assert scores['iou'] == pytest.approx(iou, abs=1e-12)

    official = hotcoco.panoptic.PanopticEval(truth, prediction)
    official.evaluate()
    results = official.results()
    for group in ('all', 'things', 'stuff'):
      assert ours[group]['n'] == results[group.capitalize()]['n']
      for key in ('pq', 'sq', 'rq') if ours[group]['n'] else ():
        assert ours[group][key] == pytest.approx(
            results[group.capitalize()][key], abs=1e-12)
    crowds = [[s['category_id'] for s in t.segments if s['iscrowd']]
              for t, _ in pairs]
    seen.update({
        'several crowds' for c in crowds if len(set(c)) < len(c)} | {
        'empty' for _, p in pairs if not p.segments} | {
        'false' for s in ours['per_class'].values() if s['fp']})

  check()
  assert seen == {'several crowds', 'empty', 'false'}


@needs_panopticapi
def test_the_last_of_several_crowds_counts(tmp_path):
  ids = np.repeat([[1, 2, 3]], 4, axis=1).reshape(1, -1)
  for last, false in ((1, 1), (2, 0)):
    crowds = [{'id': i, 'category_id': 3, 'area': 4, 'iscrowd': 1}
              for i in ((2, 1) if last == 1 else (1, 2))]
    road = {'id': 3, 'category_id': 7, 'area': 4, 'iscrowd': 0}
    truth = scenes.write(
        [scenes.Side(ids, crowds + [road])], tmp_path / 't.json')
    prediction = scenes.write(
        [scenes.Side(np.where(ids == 2, 9, 0), [{'id': 9, 'category_id': 3}])],
        tmp_path / 'p.json')
    assert panopticapi_counts(truth, prediction)[3][2] == false
    assert _score(truth, prediction)['pq']['per_class'][3]['fp'] == false


@needs_panopticapi
def test_real_labels_equal_the_official_tool(shared_dir, tmp_path):
  folder = shared_dir / 'data' / 'coco_panoptic_sample' / 'annotations'
  truth = str(folder / 'panoptic_val2017.json')
  content = json.load(open(truth))
  sides = []
  for number, annotation in enumerate(content['annotations']):
    side = panoptic_files.PanopticFiles.load(truth)
    ids = panoptic_files.read_ids(side, annotation['image_id'])
    ids = np.roll(ids, 9 * (number + 1), axis=1)
    annotation['file_name'] = f'{number}.png'
    sides.append(scenes.Side(ids, annotation['segments_info']))
  prediction = scenes.write(sides, tmp_path / 'p.json')
  (tmp_path / 'p.json').write_text(json.dumps(
      {'annotations': content['annotations']}))
  result = _score(truth, prediction)
  for category, expected in panopticapi_counts(truth, prediction).items():
    scores = result['pq']['per_class'][category]
    assert (scores['tp'], scores['fp'], scores['fn']) == expected[1:]
    assert scores['iou'] == pytest.approx(expected[0], abs=1e-12)
  assert 0.1 < result['pq']['all']['pq'] < 0.99


@pytest.fixture
def files(tmp_path):
  """A truth and a correct prediction of two images, with scores."""
  ids = np.array([[5, 5, 6, 6, 0, 8]])
  segments = [
      {'id': 5, 'category_id': 7, 'score': 1.0},
      {'id': 6, 'category_id': 3, 'score': 0.7},
      {'id': 8, 'category_id': 3, 'score': 0.6}]
  for name in 'tp':
    scenes.write([scenes.Side(ids, segments)] * 2, tmp_path / f'{name}.json')
  return tmp_path


def _edit(path, change):
  content = json.loads(path.read_text())
  change(content)
  path.write_text(json.dumps(content))


def test_a_correct_prediction_scores_one_in_everything(files):
  result = _score(files / 't.json', files / 'p.json')
  assert result['pq']['all'] == {'pq': 1.0, 'sq': 1.0, 'rq': 1.0, 'n': 2}
  assert result['ap']['ap'] == pytest.approx(1.0)
  assert result['miou']['miou'] == result['miou']['pixel_accuracy'] == 1.0
  assert set(result['pq']['per_class']) == {7, 200, 3, 11}


def test_without_scores_there_is_no_ap(files):
  _edit(files / 'p.json',
        lambda c: c['annotations'][1]['segments_info'][1].pop('score'))
  result = _score(files / 't.json', files / 'p.json')
  assert result['ap'] is None and result['pq']['all']['pq'] == 1.0


def test_an_image_without_things_needs_no_scores(files):
  road = scenes.Side(np.array([[5, 5]]), [{'id': 5, 'category_id': 7}])
  for name in 'tp':
    scenes.write([road], files / f'{name}.json')
  result = _score(files / 't.json', files / 'p.json')
  assert result['ap'] is not None and result['ap']['ap'] is None


@pytest.mark.parametrize('mode', ['RGBA', 'P'])
@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16'])
def test_files_of_other_tools_score_the_same(files, mode, encoding):
  """Ids as text, pictures with alpha or a palette, JSON of Windows editors."""
  expected = _score(files / 't.json', files / 'p.json')

  def as_text(content):
    for annotation in content['annotations']:
      annotation['image_id'] = f'{annotation["image_id"]:04d}'
      for segment in annotation['segments_info']:
        segment.update(id=str(segment['id']), iscrowd='0',
                       category_id=float(segment['category_id']))

  _edit(files / 'p.json', as_text)
  _edit(files / 't.json', lambda c: [
      category.update(id=str(category['id'])) for category in c['categories']])
  for side in 'tp':
    path = files / f'{side}.json'
    path.write_bytes(path.read_text().encode(encoding))
    for png in (files / side).glob('*.png'):
      image = Image.open(png).convert('RGB')
      (image.quantize(8) if mode == 'P' else image.convert(mode)).save(png)
  assert _score(files / 't.json', files / 'p.json') == expected


def _segments(content):
  return content['annotations'][1]['segments_info']


@pytest.mark.parametrize('change, words', [
    (lambda c: c['annotations'].pop(), 'no prediction for image 1'),
    (lambda c: c['annotations'].append(
        {**c['annotations'][1], 'image_id': 9}), 'image 9 is not in'),
    (lambda c: c['annotations'][1].update(image_id=0),
     'image 0 has two annotations'),
    (lambda c: c['annotations'][1].update(image_id='one'), 'image 1'),
    (lambda c: c['annotations'][1].update(file_name='no.png'), 'no.png'),
    (lambda c: c['annotations'][1].update(file_name='../0.png'),
     "'../0.png' leads out of"),
    (lambda c: c['annotations'][1].update(file_name='/0.png'),
     "'/0.png' leads out of"),
    (lambda c: _segments(c).pop(), 'image 1.*segment 8, which is not'),
    (lambda c: _segments(c).append({'id': 99, 'category_id': 3}),
     'image 1.*segment 99, but its PNG'),
    (lambda c: _segments(c).append({'id': 8, 'category_id': 3}),
     'image 1.*8 is listed twice'),
    (lambda c: _segments(c)[1].update(category_id=1234),
     'image 1.*category 1234'),
    (lambda c: _segments(c)[1].update(category_id=7),
     "image 1.*two segments of the stuff class 'road'"),
    (lambda c: _segments(c)[1].update(score='high'), 'image 1.*score'),
    (lambda c: _segments(c)[1].update(id='6 '), "image 1.*'id'"),
    (lambda c: _segments(c)[1].pop('category_id'), "image 1.*'category_id'"),
    (lambda c: c['annotations'][1].pop('segments_info'), "segments_info"),
    (lambda c: c.pop('annotations'), "'annotations'")])
def test_faulty_predictions_are_refused_by_image(files, change, words):
  _edit(files / 'p.json', change)
  with pytest.raises(errors.UserError, match=words):
    _score(files / 't.json', files / 'p.json')


@pytest.mark.parametrize('change, words', [
    (lambda c: _segments(c)[1].update(area=77), 'image 1.*area 77'),
    (lambda c: c['categories'][0].pop('isthing'), "'isthing'"),
    (lambda c: c['categories'].append(c['categories'][0]), 'unique'),
    (lambda c: c['categories'].pop(0), 'image 0.*category 7')])
def test_faulty_truth_is_refused(files, change, words):
  _edit(files / 't.json', change)
  with pytest.raises(errors.UserError, match=words):
    _score(files / 't.json', files / 'p.json')


def test_faulty_pngs_are_refused_by_image(files):
  png = files / 'p' / '1.png'
  whole = png.read_bytes()
  scenes.write_ids(np.array([[5, 5, 6], [6, 0, 8]]), png)
  with pytest.raises(errors.UserError, match='image 1.*size 6x1, got 3x2'):
    _score(files / 't.json', files / 'p.json')
  for content in (b'no picture', whole[:len(whole) // 2]):
    png.write_bytes(content)
    with pytest.raises(errors.UserError, match='image 1.*1.png'):
      _score(files / 't.json', files / 'p.json')

  Image.fromarray(np.array([[5, 5, 6, 6, 0, 8]], np.uint8)).save(png)
  with pytest.raises(errors.UserError, match='image 1.*RGB.*mode L'):
    _score(files / 't.json', files / 'p.json')


@pytest.mark.parametrize('text', ['', '[]', '{"annotations": [3]}', '\xff'])
def test_faulty_json_is_refused(files, text):
  (files / 'p.json').write_bytes(text.encode('latin-1'))
  with pytest.raises(errors.UserError, match='p.json'):
    _score(files / 't.json', files / 'p.json')


def test_missing_json_and_folder_are_refused(files):
  with pytest.raises(errors.UserError, match='none.json'):
    _score(files / 't.json', files / 'none.json')
  (files / 'p').rename(files / 'elsewhere')
  with pytest.raises(errors.UserError, match='folder with the PNGs'):
    _score(files / 't.json', files / 'p.json')
