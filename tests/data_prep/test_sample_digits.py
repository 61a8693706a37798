"""The sample has COCO's layout, held-out validation, and can be learned."""

import json

import numpy as np
from PIL import Image
import pytest

from axial_tf import errors
from axial_tf.specs import dataset_spec
from data_prep import sample_digits
from data_prep.readers import coco_annotations, coco_panoptic, splits

pytest.importorskip('sklearn')


@pytest.fixture(scope='module')
def sample(tmp_path_factory):
  folder = tmp_path_factory.mktemp('sample') / 'digits'
  sample_digits.make(str(folder), seed=1, train_images=40, val_images=8)
  return folder


@pytest.fixture(scope='module')
def labels(sample):
  """Segment ids int32 [height, width] and segments_info of each image."""
  content = json.loads(
      (sample / 'annotations' / 'panoptic_train.json').read_text())
  result = []
  for annotation in content['annotations']:
    rgb = np.asarray(Image.open(
        sample / 'annotations' / 'panoptic_train' / annotation['file_name']))
    result.append((rgb.astype(np.int32) @ [1, 256, 65536],
                   annotation['segments_info']))
  return result


def _files(folder):
  return {str(path.relative_to(folder)): path.read_bytes()
          for path in sorted(folder.rglob('*')) if path.is_file()}


class TestScans:

  def test_validation_scans_never_occur_in_training(self):
    from sklearn import datasets
    target = datasets.load_digits().target
    split = sample_digits.split_scans(target)
    assert sorted([*split['train'], *split['val']]) == list(range(1797))
    for digit in range(10):
      share = np.mean(target[split['val']] == digit) / np.mean(target == digit)
      assert 0.97 < share < 1.03
    assert len(split['val']) == pytest.approx(1797 / 6, abs=5)

  def test_the_pictures_are_made_of_them(self):
    sources = sample_digits._load_sources()
    scans = {split: {scan.tobytes() for digit in range(10)
                     for scan in source.scans[digit]}
             for split, source in sources.items()}
    assert not scans['train'] & scans['val']
    assert len(scans['train']) + len(scans['val']) == 1797
    for train, val in zip(sources['train'].photos, sources['val'].photos):
      assert train.shape[1] + val.shape[1] == 640


def test_the_same_seed_gives_the_same_bytes(sample, tmp_path):
  for name, seed in (('same', 1), ('other', 2)):
    sample_digits.make(
        str(tmp_path / name), seed=seed, train_images=3, val_images=2)
  found = _files(sample)
  same, other = _files(tmp_path / 'same'), _files(tmp_path / 'other')
  pictures = {name for name in same if name.endswith(('.jpg', '.png'))}
  assert len(pictures) == 10
  assert all(same[name] == found[name] for name in pictures)
  assert not any(same[name] == other[name] for name in pictures)


def test_the_converter_accepts_every_image(sample):
  spec = dataset_spec.DatasetSpec.load(str(sample / 'digits.json'))
  for split, count in (('train', 40), ('val', 8)):
    images = coco_annotations.read_split(str(sample), split, spec)
    assert len(images) == count
    for image in images:
      coco_panoptic.encode(image, spec, splits.ReadOptions())


def test_spec_is_the_one_in_gin_configs(project_root):
  assert sample_digits.SPEC == dataset_spec.DatasetSpec.load(
      str(project_root / 'gin_configs' / 'datasets' / 'digits.json'))


def test_boxes_are_those_of_the_masks(labels):
  for ids, segments in labels[:5]:
    for segment in segments:
      y, x = np.nonzero(ids == segment['id'])
      assert segment['bbox'] == [
          x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1]
      assert segment['area'] == len(y)


def test_has_everything_that_makes_panoptic_segmentation_hard(labels):
  digits = [s for _, segments in labels for s in segments
            if s['category_id'] <= 10 and not s['iscrowd']]
  assert {s['category_id'] for s in digits} == set(range(1, 11))
  assert 2.5 < len(digits) / len(labels) < 4.5
  assert any(s['iscrowd'] for _, segments in labels for s in segments)
  assert any((ids == 0).any() for ids, _ in labels)
  both_stuffs = [{11, 12} <= {s['category_id'] for s in segments}
                 for _, segments in labels]
  assert np.mean(both_stuffs) > 0.9
  sizes = {ids.shape for ids, _ in labels}
  assert len(sizes) > 30
  assert all(96 <= side <= 160 for size in sizes for side in size)

  def touches(ids, a, b):
    grown = np.zeros_like(ids, bool)
    mask = ids == a
    grown[1:] |= mask[:-1]
    grown[:, 1:] |= mask[:, :-1]
    return (grown & (ids == b)).any()

  assert any(
      touches(ids, a['id'], b['id']) for ids, segments in labels
      for a in segments for b in segments
      if a['id'] != b['id'] and max(a['category_id'], b['category_id']) <= 10)


def test_digits_survive_output_stride_4(labels):
  """A mask known only at every fourth pixel has IoU well above 0.5."""
  ious = []
  for ids, segments in labels:
    height, width = ids.shape
    coarse = ids[2::4, 2::4].repeat(4, 0).repeat(4, 1)
    coarse = np.pad(coarse, [[0, 4], [0, 4]])[:height, :width]
    for segment in segments:
      if segment['category_id'] <= 10 and not segment['iscrowd']:
        one, other = ids == segment['id'], coarse == segment['id']
        ious.append((one & other).sum() / (one | other).sum())
  assert np.min(ious) > 0.5
  assert np.mean(ious) > 0.7


class TestOutputFolder:

  def test_a_full_one_is_refused(self, tmp_path):
    (tmp_path / 'mine.txt').write_text('mine')
    with pytest.raises(errors.UserError, match='new or empty folder'):
      sample_digits.make(str(tmp_path), train_images=1, val_images=1)
    assert _files(tmp_path) == {'mine.txt': b'mine'}

  def test_nothing_is_left_after_a_failure(self, tmp_path, monkeypatch):
    def fail(*unused):
      raise KeyboardInterrupt
    monkeypatch.setattr(sample_digits, '_coco_segments', fail)
    with pytest.raises(KeyboardInterrupt):
      sample_digits.make(str(tmp_path / 'x'), train_images=1, val_images=1)
    assert not list(tmp_path.iterdir())

  def test_below_a_file(self, tmp_path):
    (tmp_path / 'file').write_text('mine')
    with pytest.raises(errors.UserError, match='cannot write'):
      sample_digits.make(
          str(tmp_path / 'file' / 'x'), train_images=1, val_images=1)
