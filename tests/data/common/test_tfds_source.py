"""Data sets of tensorflow-datasets feed the pipelines.

COCO and ImageNet are prepared here by the package's own builders, from
pictures that the tests make in the layouts of the downloads.
"""

import io
import itertools
import json
import os
import tarfile

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from axial_tf import errors
from axial_tf.data.classification import pipeline as classification_pipeline
from axial_tf.data.panoptic import augmentation
from axial_tf.data.panoptic import pipeline as panoptic_pipeline
from axial_tf.specs import class_spec, dataset_spec
from data_prep.readers import panoptic_labels

_COCO = 'tfds:coco/2017_panoptic'
_IMAGENET = 'tfds:imagenet2012'
_WNIDS = ('n01440764', 'n02085620', 'n15075141')


@pytest.fixture(scope='module')
def coco_spec():
  return dataset_spec.DatasetSpec.load('coco')


def _write_coco(root, spec):
  """Writes five images per split in COCO's layout; returns their contents."""
  rng = np.random.default_rng(0)
  (root / 'annotations').mkdir()
  person, grass = (next(c for c in spec.categories if c.name == name)
                   for name in ('person', 'grass-merged'))
  contents = {}
  for split in ('train2017', 'val2017'):
    (root / split).mkdir()
    (root / 'annotations' / f'panoptic_{split}').mkdir()
    images, annotations = [], []
    for number in range(5):
      # Uneven ids, out of order; red tells the images apart.
      segments = [(grass, 70000, 0), (person, 300, 0), (person, 7, 0),
                  (person, 65800, 1)]
      label = rng.choice([0, 70000, 300, 7, 65800], [12 + number, 20])
      label[0, :5] = [0, 70000, 300, 7, 65800]
      pixels = np.full([*label.shape, 3], 10 * number, np.uint8)
      Image.fromarray(pixels).save(root / split / f'{number}.jpg')
      rgb = np.stack([label >> 8 * k & 255 for k in range(3)], -1)
      Image.fromarray(rgb.astype(np.uint8)).save(
          root / 'annotations' / f'panoptic_{split}' / f'{number}.png')
      info = [{'id': i, 'category_id': c.id, 'iscrowd': crowd, 'bbox': [
          0, 0, 20, 12], 'area': int((label == i).sum())}
              for c, i, crowd in segments]
      images.append({'id': number, 'file_name': f'{number}.jpg',
                     'height': label.shape[0], 'width': 20})
      annotations.append({'image_id': number, 'file_name': f'{number}.png',
                          'segments_info': info})
      contents[split, f'{number}.jpg'] = label, info
    (root / 'annotations' / f'panoptic_{split}.json').write_text(json.dumps({
        'images': images, 'annotations': annotations, 'categories': [
            {'id': c.id, 'name': c.name, 'isthing': int(c.is_thing)}
            for c in sorted(spec.categories, key=lambda c: c.id)]}))
  return contents


@pytest.fixture(scope='module')
def prepared(tmp_path_factory, coco_spec):
  """A TFDS_DATA_DIR with both data sets, and the contents of COCO's images."""
  downloads = tmp_path_factory.mktemp('downloads')
  data_dir = tmp_path_factory.mktemp('tfds')
  contents = _write_coco(downloads, coco_spec)
  _write_imagenet(downloads)
  config = tfds.download.DownloadConfig(manual_dir=str(downloads))
  with pytest.MonkeyPatch.context() as patch:
    manager = tfds.download.DownloadManager
    patch.setattr(manager, 'download_and_extract',
                  lambda self, urls: {key: str(downloads) for key in urls})
    patch.setattr(manager, 'extract', lambda self, path: os.path.dirname(path))
    for name in ('coco/2017_panoptic', 'imagenet2012'):
      tfds.builder(name, data_dir=str(data_dir)).download_and_prepare(
          download_config=config)
  return data_dir, contents


def _write_imagenet(root):
  """Two pictures of each of three classes, as the archive of archives."""
  with tarfile.open(root / 'ILSVRC2012_img_train.tar', 'w') as outer:
    for number, wnid in enumerate(_WNIDS):
      buffer = io.BytesIO()
      with tarfile.open(fileobj=buffer, mode='w') as inner:
        for k in range(2):
          picture = io.BytesIO()
          Image.new('RGB', (20, 16), (50 * number, 0, 0)).save(picture, 'JPEG')
          _add(inner, f'{wnid}_{k}.JPEG', picture.getvalue())
      _add(outer, f'{wnid}.tar', buffer.getvalue())
  with tarfile.open(root / 'ILSVRC2012_img_val.tar', 'w') as archive:
    picture = io.BytesIO()
    Image.new('RGB', (20, 16)).save(picture, 'JPEG')
    _add(archive, 'ILSVRC2012_val_00000001.JPEG', picture.getvalue())


def _add(archive, name, content):
  entry = tarfile.TarInfo(name)
  entry.size = len(content)
  archive.addfile(entry, io.BytesIO(content))


@pytest.fixture
def data_dir(prepared, monkeypatch):
  """Lets `tfds.builder` find the prepared data without being told where."""
  original = tfds.builder
  monkeypatch.setattr(
      tfds, 'builder', lambda name: original(name, data_dir=str(prepared[0])))
  return prepared[0]


def _context(workers, worker):
  return tf.distribute.InputContext(workers, worker, workers)


@pytest.mark.usefixtures('data_dir')
class TestPanoptic:

  def _settings(self, **changes):
    return panoptic_pipeline.PanopticDataSettings(**{
        'train_pattern': f'{_COCO}/train',
        'validation_pattern': f'{_COCO}/validation',
        'augmentation': augmentation.AugmentationSettings(
            scale_range=(1.0, 1.0), crop_size=(17, 21), horizontal_flip=False),
        'shuffle_buffer': 5, **changes})

  def test_labels_equal_those_of_the_conversion(self, prepared, coco_spec):
    batches = list(panoptic_pipeline.validation_dataset(
        self._settings(), coco_spec, 2).as_numpy_iterator())
    seen = []
    for batch in batches:
      for name, panoptic, height in zip(
          batch['filename'], batch['panoptic'], batch['height']):
        ids, info = prepared[1]['val2017', name.decode()]
        expected = panoptic_labels.panoptic_label(
            ids.astype(np.int32), info, coco_spec, source='test')
        np.testing.assert_array_equal(panoptic[:height], expected)
        seen.append(name)
    assert sorted(seen) == [f'{i}.jpg'.encode() for i in range(5)]

  def test_trains_every_image_once_per_epoch_and_repeats(self, coco_spec):
    def run(seed):
      return list(panoptic_pipeline.train_dataset(
          self._settings(), coco_spec, 1, seed=seed).take(10)
                  .as_numpy_iterator())

    first, second = run(1), run(1)
    for one, same in zip(first, second):
      for key in one:
        np.testing.assert_array_equal(one[key], same[key])
    heights = [b['inside'][0, 2] - b['inside'][0, 0] for b in first]
    assert sorted(heights[:5]) == sorted(heights[5:]) == list(range(12, 17))

  def test_workers_share_the_images(self, coco_spec):
    """They also know the order in which a single one would read them."""
    seen = itertools.chain.from_iterable(
        zip(batch['place'].tolist(), batch['filename'].tolist())
        for worker in range(3)
        for batch in panoptic_pipeline.validation_dataset(
            self._settings(), coco_spec, 3, _context(3, worker)
        ).as_numpy_iterator())
    names = [name for _, name in sorted(seen)]
    assert names == [
        image['filename'] for image in panoptic_pipeline.validation_dataset(
            self._settings(), coco_spec, 1).unbatch().as_numpy_iterator()]
    assert sorted(names) == [f'{i}.jpg'.encode() for i in range(5)]

  def test_parts_of_a_split(self, coco_spec):
    settings = self._settings(validation_pattern=f'{_COCO}/train[:60%]')
    batch, = panoptic_pipeline.validation_dataset(settings, coco_spec, 9)
    assert len(batch['filename']) == 3

  @pytest.mark.parametrize('pattern, words', [
      (f'{_COCO}/test', 'no split'),
      ('tfds:coco', 'expected tfds:NAME/SPLIT'),
      ('tfds:no_such_thing/train', 'has no data set'),
      (f'{_IMAGENET}/train', 'expected the features'),
      ('tfds:coco/2014/train', 'expected the features'),
  ])
  def test_mistakes_are_named(self, coco_spec, pattern, words):
    settings = self._settings(validation_pattern=pattern)
    with pytest.raises(errors.UserError, match=words) as caught:
      panoptic_pipeline.validation_dataset(settings, coco_spec, 1)
    assert '\n' not in str(caught.value)

  def test_a_spec_without_these_categories(self, tiny_spec):
    with pytest.raises(errors.UserError, match="'person' is not in.*'tiny'"):
      panoptic_pipeline.train_dataset(self._settings(), tiny_spec, 1)


def test_data_that_was_not_prepared(tmp_path, monkeypatch, coco_spec):
  original = tfds.builder
  monkeypatch.setattr(
      tfds, 'builder', lambda name: original(name, data_dir=str(tmp_path)))
  settings = panoptic_pipeline.PanopticDataSettings(
      train_pattern=f'{_COCO}/train')
  with pytest.raises(errors.UserError, match='tfds build coco/2017_panoptic'):
    panoptic_pipeline.train_dataset(settings, coco_spec, 1)


@pytest.mark.usefixtures('data_dir')
class TestClassification:

  def _settings(self, **changes):
    return classification_pipeline.ClassificationDataSettings(**{
        'train_pattern': f'{_IMAGENET}/train',
        'validation_pattern': f'{_IMAGENET}/train', 'image_size': (14, 14),
        'validation_resize': 16, 'shuffle_buffer': 6, **changes})

  def test_the_spec_holds_the_thousand_synsets(self):
    spec = classification_pipeline.load_spec(self._settings())
    assert spec.num_classes == 1000
    assert [c.id for c in spec.classes] == sorted(c.id for c in spec.classes)
    assert spec.labels['n01440764'] == 0 and spec.labels['n15075141'] == 999

  def test_every_image_with_its_label(self):
    spec = classification_pipeline.load_spec(self._settings())
    batches = list(classification_pipeline.validation_dataset(
        self._settings(), spec, 4).as_numpy_iterator())
    found = {name.decode(): label
             for b in batches for name, label in zip(b['filename'], b['label'])}
    assert found == {f'{wnid}_{k}.JPEG': spec.labels[wnid]
                     for wnid in _WNIDS for k in range(2)}
    for batch in batches:
      for name, image in zip(batch['filename'], batch['image']):
        red = 50 * _WNIDS.index(name.decode().split('_')[0])
        assert abs((image[..., 0].mean() + 1) * 127.5 - red) < 2

  def test_trains(self):
    spec = classification_pipeline.load_spec(self._settings())
    batch = next(iter(classification_pipeline.train_dataset(
        self._settings(), spec, 6, seed=0)))
    labels = sorted(batch['label'].numpy().tolist())
    assert labels == sorted([spec.labels[w] for w in _WNIDS] * 2)
    assert batch['target'].shape == [6, 1000]

  def test_other_classes_are_refused(self):
    spec = class_spec.ClassSpec.from_ids('three', _WNIDS, {})
    with pytest.raises(errors.UserError, match='1000 classes.*3 classes'):
      classification_pipeline.train_dataset(self._settings(), spec, 1)


def test_imagenet_by_the_mocks_of_the_package():
  """Its mocks make random images; they do not support COCO's objects."""
  with tfds.testing.mock_data(num_examples=5):
    settings = classification_pipeline.ClassificationDataSettings(
        train_pattern=f'{_IMAGENET}/train',
        validation_pattern=f'{_IMAGENET}/validation', shuffle_buffer=5,
        image_size=(14, 14), validation_resize=16)
    spec = classification_pipeline.load_spec(settings)
    batch = next(iter(classification_pipeline.train_dataset(
        settings, spec, 4, seed=0)))
    assert batch['image'].shape == [4, 14, 14, 3]
    sizes = [len(b['label']) for b in
             classification_pipeline.validation_dataset(settings, spec, 3)]
    assert sizes == [3, 2]
