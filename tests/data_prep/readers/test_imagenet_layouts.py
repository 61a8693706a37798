"""Layouts of Kaggle, the official ImageNet archives and Tiny ImageNet."""

import shutil
import sys

import numpy as np
from PIL import Image
import pytest
from scipy import io

from axial_tf import errors
from data_prep import convert
from data_prep.readers import imagenet, listed_files, splits

# In the order of their numbers, which is not that of the synsets.
_WNIDS = ('n03', 'n01', 'n02')
# Classes of the four validation images.
_VAL = ('n02', 'n03', 'n01', 'n02')


def _write(path):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.new('RGB', (8, 6)).save(path, 'JPEG')


def _val_name(number):
  return f'ILSVRC2012_val_{number:08d}.JPEG'


def _images(top, train='{0}/{0}_{1}.JPEG', val='val/ILSVRC2012_val_'):
  for wnid in _WNIDS:
    for number in range(2):
      _write(top / 'train' / train.format(wnid, number))
  for number in range(1, 5):
    _write(top / f'{val}{number:08d}.JPEG')


def _kaggle(root):
  _images(root / 'ILSVRC/Data/CLS-LOC')
  (root / 'LOC_synset_mapping.txt').write_text('n01 a\nn02 b, bee\nn03 c\n')
  rows = [f'{_val_name(n)[:-5]},{wnid} 1 1 9 9 n01 2 2 3 3 '
          for n, wnid in reversed(list(enumerate(_VAL, start=1)))]
  (root / 'LOC_val_solution.csv').write_text(
      '\n'.join(['ImageId,PredictionString', *rows, '']))


def _meta(path, wnids=_WNIDS):
  """A meta.mat, whose synsets are a struct array, as the official one's."""
  kind = [('ILSVRC2012_ID', object), ('WNID', object), ('words', object),
          ('num_children', object)]
  rows = [(float(k), wnid, 'x', 0.0) for k, wnid in enumerate(wnids, start=1)]
  synsets = np.array([rows + [(9.0, 'n00', 'all', 3.0)]], kind).T
  io.savemat(path, {'synsets': synsets})


def _official(root):
  _images(root)
  data = root / 'ILSVRC2012_devkit_t12' / 'data'
  data.mkdir(parents=True)
  (data / 'ILSVRC2012_validation_ground_truth.txt').write_text(
      ''.join(f'{_WNIDS.index(wnid) + 1}\n' for wnid in _VAL))
  _meta(data / 'meta.mat')


def _tiny(root):
  _images(root, '{0}/images/{0}_{1}.JPEG', 'val/images/val_')
  for wnid in _WNIDS:
    (root / 'train' / wnid / f'{wnid}_boxes.txt').write_text('')
  (root / 'wnids.txt').write_text('n03\nn01\nn02\n')
  (root / 'words.txt').write_text('n01\ta\nn02\tb, bee\nn03\tc\nn99\tz\n')
  (root / 'val' / 'val_annotations.txt').write_text(''.join(
      f'val_{n:08d}.JPEG\t{wnid}\t0\t0\t9\t9\n'
      for n, wnid in enumerate(_VAL, start=1)))
  _write(root / 'test' / 'images' / 'test_0.JPEG')


def _read(root, split, **options):
  return imagenet.read_split(str(root), split, splits.ReadOptions(**options))


def _classes(read):
  return {image.filename: image.image_class.id for image in read.images}


@pytest.mark.parametrize('make, inner, name', [
    (_kaggle, '', 'ILSVRC2012_val_'), (_kaggle, 'ILSVRC', 'ILSVRC2012_val_'),
    (_kaggle, 'ILSVRC/Data', 'ILSVRC2012_val_'),
    (_kaggle, 'ILSVRC/Data/CLS-LOC', 'ILSVRC2012_val_'),
    (_official, '', 'ILSVRC2012_val_'), (_tiny, '', 'val_')])
def test_every_layout_gives_the_same_classes(
    tmp_path, monkeypatch, make, inner, name):
  make(tmp_path)
  # Also if the folder is named from within.
  monkeypatch.chdir(tmp_path / inner)
  for root in (tmp_path / inner, '.'):
    train, val = (_read(root, split) for split in ('train', 'val'))
    assert train.spec == val.spec
    assert [c.id for c in val.spec.classes] == ['n01', 'n02', 'n03']
    if make is not _official:
      assert [c.name for c in val.spec.classes] == ['a', 'b, bee', 'c']
    assert len(train.images) == 6
    assert all(file.startswith(f'{wnid}/{wnid}_')
               for file, wnid in _classes(train).items())
    assert _classes(val) == {
        f'{name}{n:08d}.JPEG': wnid for n, wnid in enumerate(_VAL, start=1)}
    for read in (train, val):
      listed_files.require_present(read, 0)
      assert read.encode(read.images[0]).counts


def test_the_test_images_of_tiny_imagenet(tmp_path):
  _tiny(tmp_path)
  assert [i.filename for i in _read(tmp_path, 'test').images] == ['test_0.JPEG']


@pytest.mark.parametrize('make', [_kaggle, _official, _tiny])
def test_incomplete_downloads_are_counted(tmp_path, make):
  make(tmp_path)
  lost = sorted(tmp_path.glob('**/*val_0000000?.JPEG'))[1:3]
  for path in lost:
    path.unlink()
  read = _read(tmp_path, 'val')
  assert len(read.images) == 4
  with pytest.raises(errors.UserError, match='2 of 4 images are missing, fir'):
    listed_files.require_present(read, 1)


@pytest.mark.parametrize('make', [_kaggle, _official, _tiny])
def test_a_list_selects_some_of_the_classes(tmp_path, make):
  root = tmp_path / 'data'
  make(root)
  chosen = tmp_path / 'chosen.txt'
  chosen.write_bytes('n03\tdrei\r\nn01\r\n'.encode('utf-16'))
  for split, counts in (('train', (2, 2)), ('val', (1, 1))):
    read = _read(root, split, classes=str(chosen))
    assert [(c.label, c.id) for c in read.spec.classes] == [
        (0, 'n01'), (1, 'n03')]
    assert read.spec.classes[1].name == 'drei'
    found = list(_classes(read).values())
    assert (found.count('n01'), found.count('n03')) == counts
    assert len(found) == sum(counts)
    convert.run('imagenet', str(root), split, str(tmp_path / 'out'),
                splits.ReadOptions(classes=str(chosen)), processes=1)


def test_folders_of_any_name_can_be_chosen(tmp_path):
  for name in ('great dane', 'cat', 'dog'):
    for split in ('train', 'val'):
      _write(tmp_path / split / name / 'a.JPEG')
  chosen = tmp_path / 'chosen.txt'
  chosen.write_text('great dane\ncat a small cat\n')
  read = _read(tmp_path, 'val', classes=str(chosen))
  assert [(c.id, c.name) for c in read.spec.classes] == [
      ('cat', 'a small cat'), ('great dane', 'great dane')]


def _edit_list(name, old, new):
  def edit(root):
    path = next(root.glob(f'**/{name}'))
    path.write_text(path.read_text().replace(old, new))
  return edit


_GROUND_TRUTH = 'ILSVRC2012_validation_ground_truth.txt'


@pytest.mark.parametrize('make, edit, words', [
    (_official, lambda root: next(root.glob('**/meta.mat')).unlink(),
     f'{_GROUND_TRUTH}: gives classes as numbers, whose synsets are in '
     '.*meta.mat, which is missing; unpack the whole .*tar.gz there, or put '
     'imagenet_2012_validation_synset_labels.txt'),
    (_official, lambda root: next(root.glob('**/meta.mat')).write_bytes(b'x'),
     'meta.mat: not readable as the meta.mat'),
    (_official, _edit_list(_GROUND_TRUTH, '2\n', '7\n'),
     "line 3 has the unknown synset '7'"),
    (_kaggle, _edit_list('LOC_val_solution.csv', 'n02 1', 'n77 1'),
     "LOC_val_solution.csv: row 1 has the unknown synset 'n77'"),
    (_kaggle, _edit_list('LOC_val_solution.csv', 'n02 1 1 9 9 n01 2 2 3 3', ''),
     'row 1: expected an image and its class'),
    (_tiny, _edit_list('val_annotations.txt', 'val_00000001', '../x'),
     'row 1: expected an image and its class'),
    (_tiny, _edit_list('val_annotations.txt', '\t', ' '),
     'row 1: expected an image and its class'),
    (_kaggle, lambda root: shutil.rmtree(root / 'ILSVRC/Data/CLS-LOC/val'),
     "no images of split 'val': expected the folder"),
    (_kaggle, _edit_list('LOC_synset_mapping.txt', 'n01 a', 'n02 a'),
     "LOC_synset_mapping.txt: line 2 lists 'n02' again")])
def test_mistakes_are_named(tmp_path, make, edit, words):
  make(tmp_path)
  edit(tmp_path)
  with pytest.raises(errors.UserError, match=words) as raised:
    _read(tmp_path, 'val')
  assert '\n' not in str(raised.value)


def test_images_that_no_list_names_are_left_out(tmp_path, caplog):
  _kaggle(tmp_path)
  _edit_list('LOC_val_solution.csv', f'{_val_name(4)[:-5]},n02 1 1 9 9 n01 2 '
             '2 3 3 \n', '')(tmp_path)
  with caplog.at_level('WARNING', logger='absl'):
    assert len(_read(tmp_path, 'val').images) == 3
  assert f'left out 1 images that it does not list, such as {_val_name(4)}' in (
      caplog.text)


def test_without_scipy_the_error_says_what_to_do(tmp_path, monkeypatch):
  _official(tmp_path)
  monkeypatch.setitem(sys.modules, 'scipy', None)
  with pytest.raises(errors.UserError, match='needs SciPy.*pip install scipy'):
    _read(tmp_path, 'val')
  assert len(_read(tmp_path, 'train').images) == 6


@pytest.mark.parametrize('text, words', [
    ('n01\nn44\n', "lists 'n44', which is none of the 3 classes of .*LOC_syn"),
    ('n01\nn01\n', "line 2 lists 'n01' again"), ('', 'found none')])
def test_mistakes_in_the_list_of_chosen_classes(tmp_path, text, words):
  _kaggle(tmp_path)
  (tmp_path / 'chosen.txt').write_text(text)
  with pytest.raises(errors.UserError, match=f'chosen.txt: .*{words}'):
    _read(tmp_path, 'train', classes=str(tmp_path / 'chosen.txt'))


def test_a_spec_and_a_list_of_classes_exclude_each_other(tmp_path):
  _kaggle(tmp_path)
  with pytest.raises(errors.UserError, match='--spec and --classes'):
    _read(tmp_path, 'train', classes='a.txt', spec='b.json')
