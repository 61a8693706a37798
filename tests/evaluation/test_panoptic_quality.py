"""PQ equals the official definition, on odd inputs first."""

import fractions
import json

import hotcoco.panoptic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import numpy as np
from PIL import Image
import pytest

from axial_tf import errors
from axial_tf.evaluation import panoptic_quality
from axial_tf.specs import dataset_spec

_DIVISOR = 16


def _spec(ignore_label: int) -> dataset_spec.DatasetSpec:
  """Two stuff and two thing categories around any ignore label."""
  train_ids = [i for i in range(5) if i != ignore_label][:4]
  return dataset_spec.DatasetSpec(
      name='test', label_divisor=_DIVISOR, ignore_label=ignore_label,
      categories=tuple(
          dataset_spec.Category(
              10 * t + 3, t, f'c{t}', is_thing=i >= 2, color=(t, t, t))
          for i, t in enumerate(train_ids)))


_SPEC = _spec(ignore_label=255)
_VOID = _SPEC.void_label
_CAR, _CAT = 2 * _DIVISOR, 3 * _DIVISOR


def _score(truth, prediction, spec=_SPEC):
  quality = panoptic_quality.PanopticQuality(spec)
  quality.update(np.array(truth), np.array(prediction))
  return quality.result()


def _official(images, spec, folder):
  """Scores (truth, prediction) pairs with hotcoco, through PNG files."""
  def write(kind, index):
    annotations = []
    (folder / kind).mkdir(exist_ok=True)
    for number, pair in enumerate(images):
      labels = pair[index]
      # The official id of void is 0, which is a legal label of ours.
      ids = np.where(labels == spec.void_label, 0, labels + 1)
      Image.fromarray(np.stack(
          [ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)
      ).save(folder / kind / f'{number}.png')
      annotations.append({
          'image_id': number, 'file_name': f'{number}.png',
          'segments_info': [{
              'id': int(i), 'area': int((ids == i).sum()),
              'category_id': int(i - 1) // _DIVISOR,
              'iscrowd': int(kind == 'truth' and (i - 1) % _DIVISOR == 0
                             and (i - 1) // _DIVISOR in spec.thing_ids),
          } for i in np.unique(ids) if i]})
    content = {
        'images': [{'id': n, 'file_name': f'{n}.png', 'height': p[0].shape[0],
                    'width': p[0].shape[1]} for n, p in enumerate(images)],
        'annotations': annotations,
        'categories': [{'id': c.train_id, 'name': c.name,
                        'isthing': int(c.is_thing)} for c in spec.categories]}
    (folder / f'{kind}.json').write_text(json.dumps(content))
    return str(folder / f'{kind}.json')

  evaluation = hotcoco.panoptic.PanopticEval(
      write('truth', 0), write('prediction', 1))
  evaluation.evaluate()
  return evaluation.results()


@st.composite
def _image(draw, spec):
  """A truth of large random boxes and a prediction that mostly follows it."""
  rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
  height, width = draw(st.integers(1, 24)), draw(st.integers(1, 24))
  stuff = [i * _DIVISOR for i in spec.stuff_ids] + [spec.void_label]
  things = [i * _DIVISOR + n for i in spec.thing_ids for n in range(4)]

  def paint(canvas, boxes):
    for _ in range(boxes):
      top, left = rng.integers(height), rng.integers(width)
      canvas[top:top + rng.integers(1, height + 1),
             left:left + rng.integers(1, width + 1)] = rng.choice(
                 stuff + 2 * things)

  truth = np.full([height, width], rng.choice(stuff), np.int32)
  paint(truth, draw(st.integers(0, 6)))
  prediction = np.roll(truth, draw(st.integers(0, 2)), axis=1)
  paint(prediction, draw(st.integers(0, 3)))
  return truth, prediction


@pytest.mark.parametrize('ignore_label', [0, 2, 255])
def test_equals_the_official_tool_on_random_maps(ignore_label, tmp_path):
  spec = _spec(ignore_label)

  @settings(max_examples=60, deadline=None,
            suppress_health_check=list(HealthCheck))
  @given(st.lists(_image(spec), min_size=1, max_size=3))
  def check(images):
    quality = panoptic_quality.PanopticQuality(spec)
    for truth, prediction in images:
      quality.update(truth, prediction)
    ours, official = quality.result(), _official(images, spec, tmp_path)
    for group in ('all', 'things', 'stuff'):
      expected = official[group.capitalize()]
      assert ours[group]['n'] == expected['n']
      if expected['n']:
        for key in ('pq', 'sq', 'rq'):
          assert ours[group][key] == pytest.approx(expected[key], abs=1e-12)
    for train_id, scores in ours['per_class'].items():
      expected = official['per_class'][train_id]
      for key in ('tp', 'fp', 'fn'):
        assert scores[key] == expected[key], (train_id, key)
      assert scores['iou'] == pytest.approx(expected['iou'], abs=1e-12)

  check()


def test_perfect_prediction_of_real_labels_is_one_and_equals_official(
    shared_dir, tmp_path):
  folder = shared_dir / 'data' / 'camvid_panoptic' / 'annotations'
  spec = _spec(255)
  file = sorted(folder.glob('**/*.png'))[0]
  rgb = np.asarray(Image.open(file)).astype(np.int64)
  values = rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2]
  index = np.unique(values, return_inverse=True)[1].reshape(values.shape)
  truth = _CAR + 1 + index % (_DIVISOR - 1)
  result = _score(truth, truth, spec)
  assert result['things']['pq'] == 1.0
  shifted = np.roll(truth, 5, axis=1)
  expected = _official([(truth, shifted)], spec, tmp_path)
  assert _score(truth, shifted)['all']['pq'] == pytest.approx(
      expected['All']['pq'], abs=1e-12)


def test_iou_is_a_fraction_and_must_exceed_one_half():
  # 3 of 4 pixels found: IoU 3/4.
  result = _score([[_CAR + 1] * 4 + [0]], [[_CAR + 7] * 3 + [0, 0]])
  assert result['things'] == {'pq': 0.75, 'sq': 0.75, 'rq': 1.0, 'n': 1}
  # IoU exactly 1/2 is no match: one FP and one FN.
  result = _score([[_CAR + 1, _CAR + 1]], [[_CAR + 1, _VOID]])
  assert result['per_class'][2]['tp'] == 0
  assert (result['per_class'][2]['fp'], result['per_class'][2]['fn']) == (1, 1)


def test_void_of_the_truth_is_not_in_the_union():
  # Without void: 3 / 5 = 0.6. The two predicted void pixels do not count.
  result = _score([[_CAR + 1] * 3 + [_VOID] * 2], [[_CAR + 1] * 5])
  assert result['things']['pq'] == 1.0


@pytest.mark.parametrize('hidden, false_positives', [(2, 1), (3, 0)])
@pytest.mark.parametrize('forgiving', [_VOID, _CAR])
def test_more_than_half_on_void_or_own_crowd_is_ignored(
    hidden, false_positives, forgiving):
  truth = [[forgiving] * hidden + [0] * (4 - hidden)]
  result = _score(truth, [[_CAR + 1] * 4])
  assert result['per_class'][2]['fp'] == false_positives


def test_the_crowd_of_another_class_has_no_effect():
  result = _score([[_CAT] * 4], [[_CAR + 1] * 4])
  assert result['per_class'][2]['fp'] == 1
  assert result['per_class'][3]['fn'] == 0, 'a crowd is never missed'


def test_categories_without_segments_do_not_enter_the_mean():
  result = _score([[0, 0]], [[0, 0]])
  assert result['all'] == {'pq': 1.0, 'sq': 1.0, 'rq': 1.0, 'n': 1}
  assert result['things']['n'] == 0


@pytest.mark.parametrize('truth, prediction', [
    (np.full([3, 3], _VOID), np.full([3, 3], _CAR + 1)),
    (np.full([3, 3], _VOID), np.full([3, 3], _VOID)),
    (np.zeros([0, 4], np.int32), np.zeros([0, 4], np.int32))])
def test_nothing_to_find_scores_zero(truth, prediction):
  result = _score(truth, prediction)
  assert result['all'] == {'pq': 0, 'sq': 0, 'rq': 0, 'n': 0}


def test_renaming_predicted_instances_changes_nothing():
  rng = np.random.default_rng(1)
  truth = np.repeat(rng.integers(1, 5, [6, 6]) + _CAR, 3, axis=1)
  prediction = np.roll(truth, 1, axis=1)
  renamed = _CAR + 1 + (prediction - _CAR) * 3 % 7
  assert _score(truth, prediction) == _score(truth, renamed)


def test_merging_replicas_equals_one_stream():
  rng = np.random.default_rng(0)
  images = rng.choice([0, 16, _CAR + 1, _CAR + 2, _CAT], [4, 2, 8, 8])
  whole = panoptic_quality.PanopticQuality(_SPEC)
  replicas = [panoptic_quality.PanopticQuality(_SPEC) for _ in range(2)]
  for number, (truth, prediction) in enumerate(images):
    prediction = np.where(rng.random([8, 8]) < 0.7, truth, prediction)
    whole.update(truth, prediction)
    replicas[number % 2].update(truth, prediction)
  replicas[0].merge(replicas[1])
  replicas[0].merge(panoptic_quality.PanopticQuality(_SPEC))
  assert replicas[0].result() == whole.result()
  assert replicas[0].result()['all']['n'] > 1


@given(st.permutations(range(12)), st.integers(0, 12))
def test_the_order_of_images_does_not_change_the_last_digit(order, cut):
  """Sums of floats would: 2/3 + 3/4 + 4/5 ... is rounded many times."""
  truth = [[[_CAR + 1] * (number + 2) + [0] * 9] for number in range(12)]
  prediction = [[[_CAR + 1] * (number + 3) + [0] * 8] for number in range(12)]
  whole = _score_all(truth, prediction, range(12)).result()
  assert 0.5 < whole['things']['pq'] < 1
  merged = _score_all(truth, prediction, order[:cut])
  merged.merge(_score_all(truth, prediction, order[cut:]))
  assert merged.result() == whole
  exact = sum(fractions.Fraction((number + 2) / (number + 3))
              for number in range(12))
  assert whole['per_class'][2]['iou'] == float(exact)


def _score_all(truth, prediction, order):
  quality = panoptic_quality.PanopticQuality(_SPEC)
  for number in order:
    quality.update(np.array(truth[number]), np.array(prediction[number]))
  return quality


@pytest.mark.parametrize('truth, prediction, word', [
    ([[0]], [[9 * _DIVISOR]], 'train id 9'),
    ([[-1]], [[0]], 'ground truth'),
    ([[0]], [[_DIVISOR + 1]], 'stuff'),
    ([[0, 0]], [[0]], 'size'),
    ([[0.5]], [[0]], 'integer'),
    ([0], [0], 'integer')])
def test_illegal_maps_are_refused_by_name(truth, prediction, word):
  with pytest.raises(errors.UserError, match=word):
    _score(truth, prediction)


def test_the_table_shows_percent_and_absent_groups():
  result = _score([[_CAR + 1] * 4], [[_CAR + 1] * 3 + [_VOID]])
  table = panoptic_quality.format_table(result, _SPEC, per_class=True)
  rows = {line.split()[0]: line.split()[1:] for line in table.splitlines()}
  assert rows['things'] == ['75.00', '75.00', '100.00', '1']
  assert rows['stuff'] == ['-', '-', '-', '0']
  assert rows['c2'] == ['75.00', '75.00', '100.00', '1', '0', '0']
  assert max(map(len, table.splitlines())) < 80
