"""ImageNet's layouts: classes, labels, odd files, and what is refused."""

import io
import json
import os
import pickle

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.data.classification import pipeline as classification_pipeline
from axial_tf.files import image_decoding, images
from axial_tf.specs import class_spec
from data_prep import convert
from data_prep.readers import imagenet, listed_files, splits
from tests import picture_files

_VAL_LIST = 'imagenet_2012_validation_synset_labels.txt'
_WNIDS = ('n01', 'n02', 'n10')

_SCENE = Image.fromarray(picture_files.photograph())
_EXIF = Image.Exif()
_EXIF[0x0112] = 6
_FILES = {
    **picture_files.all_files(),
    'TIFF': picture_files.encode(_SCENE, 'TIFF'),
    'GIF': picture_files.encode(_SCENE, 'GIF'),
    'turned WebP': picture_files.encode(
        _SCENE, 'WEBP', lossless=True, exif=_EXIF),
}


def _write(path, color=(10, 20, 30), mode='RGB', image_format='JPEG'):
  path.parent.mkdir(parents=True, exist_ok=True)
  image = Image.new('RGB', (12, 10), color).convert(mode)
  image.save(path, image_format)


@pytest.fixture
def root(tmp_path):
  """Three classes of two training images, four validation images, a test."""
  root = tmp_path / 'imagenet'
  for number, wnid in enumerate(_WNIDS):
    for k in range(2):
      _write(root / 'train' / wnid / f'{wnid}_{k}.JPEG', (80 * number, 0, 0))
  for k, wnid in enumerate(('n10', 'n01', 'n02', 'n01'), start=1):
    _write(root / 'val' / f'ILSVRC2012_val_{k:08d}.JPEG',
           (80 * _WNIDS.index(wnid), 0, 0))
  (root / _VAL_LIST).write_text('n10\nn01\nn02\nn01\n')
  _write(root / 'test' / 'ILSVRC2012_test_00000001.JPEG')
  (root / 'synsets.txt').write_text('n02 dog\nn01 cat, house cat\nn10\n')
  return root


def _read(root, split, **options):
  return imagenet.read_split(str(root), split, splits.ReadOptions(**options))


def _features(encoded):
  example = tf.train.Example.FromString(encoded.serialized)
  return {key: (f.bytes_list.value or f.int64_list.value)[0]
          for key, f in example.features.feature.items()}


class TestLayouts:

  def test_classes_and_images_behind_links(self, root, tmp_path):
    subset = tmp_path / 'subset'
    (subset / 'train').mkdir(parents=True)
    for wnid in ('n02', 'n10'):
      os.symlink(root / 'train' / wnid, subset / 'train' / wnid)
    (subset / 'train' / 'n03').mkdir()
    os.symlink(root / 'train/n01/n01_0.JPEG', subset / 'train/n03/z.JPEG')
    os.symlink('/nowhere', subset / 'train/n03/gone.JPEG')
    split = _read(subset, 'train')
    assert list(split.spec.labels) == ['n02', 'n03', 'n10']
    assert [i.filename for i in split.images] == [
        'n02/n02_0.JPEG', 'n02/n02_1.JPEG', 'n03/gone.JPEG', 'n03/z.JPEG',
        'n10/n10_0.JPEG', 'n10/n10_1.JPEG']
    assert split.encode(split.images[3]).serialized
    with pytest.raises(errors.UserError, match='gone.JPEG: cannot be read'):
      split.encode(split.images[2])

  def test_a_name_that_is_not_utf8(self, root, tmp_path, capsys):
    odd = os.fsencode(root) + b'/train/n01/caf\xe9.JPEG'
    os.rename(root / 'train/n01/n01_0.JPEG', odd)
    bad = os.fsencode(root) + b'/train/n02/bad\xe9.JPEG'
    with open(bad, 'wb') as file:
      file.write(b'no image')
    out = tmp_path / 'out'
    convert.run('imagenet', str(root), 'train', str(out), splits.ReadOptions(),
                max_errors=1)
    names = {tf.train.Example.FromString(record.numpy()).features.feature[
        'image/filename'].bytes_list.value[0]
        for record in tf.data.TFRecordDataset(
            str(out / 'train-00000-of-00001.tfrecord'))}
    assert len(names) == 6 and b'n01/caf\xe9.JPEG' in names
    skipped, = json.loads((out / 'skipped_train.json').read_text())
    assert skipped['filename'] == 'n02/bad\\xe9.JPEG'
    assert 'bad\\xe9.JPEG' in skipped['reason']

  def test_train(self, root):
    split = _read(root, 'train')
    assert split.is_training and split.name == 'train'
    assert [i.filename for i in split.images] == [
        f'{w}/{w}_{k}.JPEG' for w in _WNIDS for k in range(2)]
    assert [(c.label, c.id, c.name) for c in split.spec.classes] == [
        (0, 'n01', 'cat, house cat'), (1, 'n02', 'dog'), (2, 'n10', 'n10')]
    encoded = split.encode(split.images[0])
    assert encoded.counts == {'images': {0: 1}}
    found = _features(encoded)
    assert found.pop('image/encoded') == (
        root / 'train/n01/n01_0.JPEG').read_bytes()
    assert found == {
        'image/format': b'jpeg', 'image/filename': b'n01/n01_0.JPEG',
        'image/height': 10, 'image/width': 12, 'image/class/label': 0,
        'image/class/synset': b'n01', 'image/class/text': b'cat, house cat'}

  def test_flat_validation(self, root):
    split = _read(root, 'val')
    assert not split.is_training
    assert [i.image_class.id for i in split.images] == [
        'n10', 'n01', 'n02', 'n01']

  def test_validation_in_folders(self, root):
    for k, wnid in enumerate(_WNIDS):
      _write(root / 'folders' / wnid / f'{k}.png', image_format='PNG')
    (root / 'val').rename(root / 'flat')
    (root / 'folders').rename(root / 'val')
    split = _read(root, 'val')
    assert [(i.filename, i.image_class.label) for i in split.images] == [
        ('n01/0.png', 0), ('n02/1.png', 1), ('n10/2.png', 2)]
    assert _features(split.encode(split.images[0]))['image/format'] == b'png'

  def test_test_has_no_labels(self, root):
    split = _read(root, 'test')
    encoded = split.encode(split.images[0])
    assert encoded.counts == {}
    assert _features(encoded)['image/class/label'] == 2**64 - 1 or (
        _features(encoded)['image/class/label'] == -1)

  def test_kaggle_names(self, root):
    (root / 'synsets.txt').rename(root / 'LOC_synset_mapping.txt')
    assert _read(root, 'val').spec.classes[0].name == 'cat, house cat'

  def test_without_synsets_the_folders_are_the_classes(self, root):
    (root / 'synsets.txt').unlink()
    spec = _read(root, 'val').spec
    assert [(c.id, c.name) for c in spec.classes] == [(w, w) for w in _WNIDS]

  def test_a_given_spec(self, root, tmp_path):
    path = tmp_path / 'spec.json'
    given = class_spec.ClassSpec('mine', tuple(
        class_spec.ImageClass(label, wnid, wnid)
        for label, wnid in enumerate(reversed(_WNIDS))))
    path.write_text(json.dumps(given.to_json()))
    split = _read(root, 'val', spec=str(path))
    assert [i.image_class.label for i in split.images] == [0, 2, 1, 2]

  def test_hidden_and_other_files_are_left_out(self, root):
    (root / 'train' / 'n01' / '.DS_Store').write_text('')
    (root / 'train' / 'n01' / 'readme.txt').write_text('')
    (root / 'train' / '.cache').mkdir()
    assert len(_read(root, 'train').images) == 6

  def test_travels_to_other_processes(self, root):
    split = _read(root, 'train')
    encode, image = pickle.loads(pickle.dumps((split.encode, split.images[0])))
    assert encode(image) == split.encode(split.images[0])


class TestOddFiles:

  def _encoded(self, root, path):
    image = imagenet.LabeledImage('x', str(path), None)
    found = _features(imagenet.encode(image, max_pixels=1000))
    stored = Image.open(io.BytesIO(found['image/encoded']))
    return found['image/format'], stored

  @pytest.mark.parametrize('kind', [
      'JPEG grey', 'JPEG 4:2:0', 'JPEG CMYK', 'JPEG EXIF 6', 'PNG palette',
      'PNG alpha', 'PNG RGB of 16 bits', 'TIFF', 'GIF', 'turned WebP'])
  def test_training_sees_the_displayed_pixels(self, root, kind):
    content = _FILES[kind]
    path = root / 'odd.JPEG'
    path.write_bytes(content)
    image = imagenet.LabeledImage('x', str(path), None)
    found = _features(imagenet.encode(image, 9999))
    stored = found['image/encoded']
    expected = images.from_bytes(content, kind)
    np.testing.assert_array_equal(image_decoding.decode(stored), expected)
    assert (found['image/height'], found['image/width']) == expected.shape[:2]
    is_kept = kind.startswith(('JPEG', 'PNG'))
    assert (stored == content) == is_kept
    assert found['image/format'] == (
        b'jpeg' if kind.startswith('JPEG') else b'png')

  def test_true_pngs_stay_lossless(self, root):
    path = root / 'a.png'
    _write(path, image_format='PNG')
    assert self._encoded(root, path)[0] == b'png'

  @pytest.mark.parametrize('content', [b'', b'nothing', None])
  def test_damaged_files_are_named(self, root, content):
    path = root / 'bad.JPEG'
    _write(path)
    path.write_bytes(path.read_bytes()[:200] if content is None else content)
    with pytest.raises(errors.UserError, match='bad.JPEG'):
      self._encoded(root, path)

  def test_too_many_pixels(self, root):
    path = root / 'big.JPEG'
    Image.new('RGB', (40, 40)).save(path)
    with pytest.raises(errors.UserError, match='40x40.*limit of 1000'):
      self._encoded(root, path)


class TestBadInput:

  def _fails(self, root, split, words, **options):
    with pytest.raises(errors.UserError, match=words) as caught:
      _read(root, split, **options)
    assert '\n' not in str(caught.value)

  def test_no_folder(self, root):
    self._fails(root / 'nowhere', 'train', 'expected a folder')
    self._fails(root, 'training', 'expected the folder .*training')

  def test_a_folder_missing_from_the_synsets(self, root):
    _write(root / 'train' / 'n99' / 'a.JPEG')
    self._fails(root, 'train', "n99: the list of synsets has no class 'n99'")

  def test_a_class_without_folder(self, root):
    (root / 'synsets.txt').write_text('n01\nn02\nn10\nn11 fox\n')
    self._fails(root, 'train', r"1 of 4 classes .* first: 'n11' \(fox\)")

  def test_an_empty_class(self, root):
    for path in (root / 'train' / 'n02').iterdir():
      path.unlink()
    self._fails(root, 'train', r"1 of 3 classes .* first: 'n02' \(dog\)")

  @pytest.mark.parametrize('lines, first', [
      ('n10\nn01\nn02', 'val_00000004'), ('', 'val_00000001')])
  def test_a_validation_list_that_is_too_short(self, root, lines, first):
    (root / _VAL_LIST).write_text(lines)
    self._fails(root, 'val', f'lists . images, but .* holds .*{first}')

  @pytest.mark.parametrize('count', [3, 5])
  def test_a_validation_list_of_other_names(self, root, count):
    """Without numbers, only their order determines the classes."""
    for number, path in enumerate(sorted((root / 'val').iterdir())):
      path.rename(root / 'val' / f'{"abcd"[number]}.JPEG')
    assert len(_read(root, 'val').images) == 4
    (root / _VAL_LIST).write_text('n01\n' * count)
    self._fails(root, 'val', f'lists {count} images, but .* holds 4')

  def test_missing_validation_images(self, root):
    for number in (2, 4):
      (root / 'val' / f'ILSVRC2012_val_{number:08d}.JPEG').unlink()
    read = _read(root, 'val')
    assert [i.image_class.id for i in read.images] == [
        'n10', 'n01', 'n02', 'n01']
    with pytest.raises(errors.UserError, match=(
        '2 of 4 images are missing, first: .*ILSVRC2012_val_00000002.JPEG')):
      listed_files.require_present(read, 0)

  def test_an_unknown_synset(self, root):
    (root / _VAL_LIST).write_text('n10\nn01\nn77\nn01\n')
    self._fails(root, 'val', "line 3 has the unknown synset 'n77'")

  def test_no_validation_list(self, root):
    (root / _VAL_LIST).unlink()
    self._fails(root, 'val', 'classes of its images are unknown; expected .*'
                f'{_VAL_LIST}.*LOC_val_solution.csv.*ILSVRC2012_devkit_t12')

  def test_a_list_that_is_not_text(self, root):
    (root / _VAL_LIST).write_bytes(b'\xff\xfe\x00')
    self._fails(root, 'val', 'line 1 is not UTF-16-LE text')

  @pytest.mark.parametrize('text, words', [
      ('n01\nn02\nn01\n', "line 3 lists 'n01' again"), ('\n', 'found none')])
  def test_bad_synsets(self, root, text, words):
    (root / 'synsets.txt').write_text(text)
    self._fails(root, 'val', words)

  def test_unknown_classes(self, root):
    (root / 'synsets.txt').unlink()
    (root / 'train').rename(root / 'elsewhere')
    self._fails(root, 'val', 'the classes are unknown')

  def test_flat_training_images(self, root):
    (root / 'train').rename(root / 'elsewhere')
    _write(root / 'train' / 'a.JPEG')
    self._fails(root, 'train', 'expected one folder per class')

  def test_a_class_behind_a_broken_link(self, root):
    os.symlink('/nowhere/n03', root / 'train' / 'n03')
    self._fails(root, 'train', 'n03: is a link to /nowhere/n03, which does not')

  def test_a_class_whose_name_is_not_utf8(self, root):
    (root / 'synsets.txt').unlink()
    os.rename(root / 'train' / 'n02', os.fsencode(root) + b'/train/\xe9')
    self._fails(root, 'train', 'xe9: expected a path in UTF-8')

  def test_options_of_panoptic_data(self, root):
    self._fails(root, 'train', 'max_long_side', max_long_side=100)


def _convert(root, split, output):
  convert.run(dataset='imagenet', input_dir=str(root), split=split,
              output_dir=str(output), options=splits.ReadOptions(),
              processes=1)


def _settings(records):
  return classification_pipeline.ClassificationDataSettings(
      train_pattern=f'{records}/train-*.tfrecord',
      validation_pattern=f'{records}/val-*.tfrecord', image_size=(8, 8),
      validation_resize=8, shuffle_buffer=6)


def test_from_folders_to_batches(root, tmp_path):
  for split in ('train', 'val'):
    _convert(root, split, tmp_path / 'records')
  settings = _settings(tmp_path / 'records')
  spec = classification_pipeline.load_spec(settings)
  assert [c.name for c in spec.classes] == ['cat, house cat', 'dog', 'n10']
  batch, = classification_pipeline.validation_dataset(settings, spec, 9)
  assert batch['label'].numpy().tolist() == [2, 0, 1, 0]
  red = (batch['image'].numpy()[..., 0].mean((1, 2)) + 1) * 127.5
  np.testing.assert_allclose(red, [160, 0, 80, 0], atol=2)
  train = next(iter(classification_pipeline.train_dataset(settings, spec, 6)))
  assert sorted(train['label'].numpy().tolist()) == [0, 0, 1, 1, 2, 2]


@pytest.mark.slow
def test_a_real_data_set(shared_dir, tmp_path):
  """CIFAR-10 under real synsets: validation as a whole, with known labels."""
  source = shared_dir / 'data/cifar10_ilsvrc'
  train = imagenet.read_split(str(source), 'train', splits.ReadOptions())
  assert len(train.images) == 20000 and train.spec.num_classes == 10
  assert len({i.image_class.label for i in train.images}) == 10
  _convert(source, 'val', tmp_path)
  settings = classification_pipeline.ClassificationDataSettings(
      validation_pattern=f'{tmp_path}/val-*.tfrecord', image_size=(32, 32),
      validation_resize=None)
  spec = classification_pipeline.load_spec(settings)
  assert spec.classes[1].name == 'frog'
  expected = dict(line.split() for line in (
      source / 'val_labels.txt').read_text().splitlines())
  found = {}
  for batch in classification_pipeline.validation_dataset(
      settings, spec, 256).as_numpy_iterator():
    found.update(zip((n.decode() for n in batch['filename']),
                     (spec.classes[k].id for k in batch['label'])))
  assert found == expected
