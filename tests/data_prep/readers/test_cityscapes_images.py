"""Foggy, rainy and compressed Cityscapes: other folders and endings."""

import shutil

import numpy as np
from PIL import Image
import pytest

from axial_tf import errors
from axial_tf.data.panoptic import records
from axial_tf.prediction.formats import result_folders
from data_prep import convert
from data_prep.readers import cityscapes, splits
from tests.data_prep import tiny_cityscapes as tiny

_FOG = '_leftImg8bit_foggy_beta_{}.png'
_RAIN = ('_leftImg8bit_rain_alpha_0.01_beta_0.005_dropsize_0.002_pattern_1.png',
         '_leftImg8bit_rain_alpha_0.02_beta_0.01_dropsize_0.005_pattern_2.png')


def _derive(root, folder, endings, image_format='PNG', keep=False):
  """Gives a split other images, in a folder of their own."""
  for path in sorted((root / 'leftImg8bit').glob('*/*/*.png')):
    name = path.name[:-len('_leftImg8bit.png')]
    target = root / folder / path.relative_to(root / 'leftImg8bit').parent
    target.mkdir(parents=True, exist_ok=True)
    for shade, ending in enumerate(endings):
      Image.new('RGB', (tiny.WIDTH, tiny.HEIGHT), (shade, 0, 0)).save(
          target / f'{name}{ending}', image_format)
  if not keep:
    shutil.rmtree(root / 'leftImg8bit')


def _records(root, **options):
  """File name of each record -> its label, and the red of its image."""
  read = cityscapes.read_split(
      str(root), 'train', splits.ReadOptions(**options))
  found = {}
  for image in read.images:
    decoded = records.decode_panoptic_example(read.encode(image).serialized)
    found[decoded['filename'].numpy().decode()] = (
        decoded['panoptic'].numpy(), int(decoded['image'][0, 0, 0]))
  assert len(found) == len(read.images)
  return found


def _assert_labels(found):
  for label, _ in found.values():
    np.testing.assert_array_equal(label, tiny.panoptic())


@pytest.mark.parametrize('folder, endings', [
    ('leftImg8bit_foggy', [_FOG.format(beta) for beta in (.005, .01, .02)]),
    ('leftImg8bit_rain', _RAIN), ('leftImg8bit', ['_leftImg8bit.jpg']),
    ('leftImg8bit', ['_leftImg8bit.JPEG'])])
def test_the_only_folder_is_found_and_every_image_taken(
    tmp_path, caplog, folder, endings):
  tiny.make(tmp_path)
  image_format = 'PNG' if endings[0].endswith('png') else 'JPEG'
  _derive(tmp_path, 'new', endings, image_format)
  (tmp_path / 'new').rename(tmp_path / folder)
  with caplog.at_level('WARNING', logger='absl'):
    found = _records(tmp_path)
  assert sorted(found) == sorted(
      f'{name}{ending}' for name in tiny.NAMES for ending in endings)
  _assert_labels(found)
  assert (f'have {len(endings)} endings' in caplog.text) == (len(endings) > 1)


@pytest.mark.parametrize('has_json', [False, True])
def test_folder_and_ending_are_chosen(tmp_path, has_json):
  tiny.make(tmp_path)
  _derive(tmp_path, 'leftImg8bit_foggy', [_FOG.format(.01), _FOG.format(.02)],
          keep=True)
  if has_json:
    from cityscapesscripts.preparation import createPanopticImgs
    createPanopticImgs.convert2panoptic(
        cityscapesPath=str(tmp_path / 'gtFine'), useTrainId=True,
        setNames=['train'])
  found = _records(tmp_path, image_folder='leftImg8bit_foggy',
                   image_ending=_FOG.format(.02))
  assert sorted(found) == [f'{name}{_FOG.format(.02)}' for name in tiny.NAMES]
  _assert_labels(found)
  assert {red for _, red in found.values()} == {1}
  assert list(_records(tmp_path)) == [
      f'{name}_leftImg8bit.png' for name in tiny.NAMES]
  with pytest.raises(errors.UserError, match=(
      'holds no .*_foggy.png;.*with --image_ending')):
    _records(tmp_path, image_ending='_foggy.png')


def test_labels_without_a_derived_image_are_left_out(tmp_path, caplog):
  tiny.make(tmp_path)
  _derive(tmp_path, 'leftImg8bit_rain', _RAIN)
  shutil.rmtree(tmp_path / 'leftImg8bit_rain' / 'train' / 'bonn')
  with caplog.at_level('WARNING', logger='absl'):
    assert len(_records(tmp_path)) == 4
  assert 'has no image for 1 of 3 labels; left them out' in caplog.text


def test_several_folders_must_be_chosen_from(tmp_path):
  tiny.make(tmp_path)
  for folder in ('leftImg8bit_fog', 'leftImg8bit_rain'):
    _derive(tmp_path, folder, _RAIN, keep=True)
  shutil.rmtree(tmp_path / 'leftImg8bit')
  with pytest.raises(errors.UserError, match=(
      'has 2 folders of images, leftImg8bit_fog, leftImg8bit_rain; choose')):
    _records(tmp_path)


def test_one_image_in_two_formats_is_refused(tmp_path):
  tiny.make(tmp_path)
  path = next((tmp_path / 'leftImg8bit').glob('*/*/*.png'))
  Image.open(path).save(path.with_suffix('.jpg'))
  with pytest.raises(errors.UserError, match='has the name of'):
    _records(tmp_path)


@pytest.mark.parametrize('option', ['image_folder', 'image_ending', 'classes'])
def test_other_data_sets_have_no_such_options(option):
  with pytest.raises(errors.UserError, match=f'--{option} belongs to'):
    convert.run('coco', 'in', 'val2017', 'out',
                splits.ReadOptions(**{option: 'x'}))


@pytest.mark.parametrize('ending', ['', *_RAIN, _FOG.format(.02)])
def test_results_are_named_as_cityscapes_scripts_expect(tmp_path, ending):
  folder = result_folders.CityscapesFolder(str(tmp_path), None)
  name = 'ulm_000001_000019'
  assert folder.image_id(f'in/{name}{ending or ".png"}') == name
