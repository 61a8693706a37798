"""Training sees the pixels that a viewer displays for a file."""

import numpy as np
from PIL import Image
import pytest

from axial_tf import errors
from axial_tf.data.panoptic import records
from axial_tf.files import image_decoding, images
from data_prep.readers import (
  coco_annotations,
  coco_panoptic,
  label_records,
  source_images,
  splits,
)
from tests import picture_files

_SCENE = Image.fromarray(picture_files.photograph())
_FILES = {
    **picture_files.all_files(),
    'TIFF': picture_files.encode(_SCENE, 'TIFF'),
    'TIFF of 16 bits': picture_files.encode(Image.fromarray(
        np.arange(0, 60000, 1000, np.uint16).reshape(6, 10)), 'TIFF'),
    'WebP': picture_files.encode(_SCENE, 'WEBP'),
    'BMP': picture_files.encode(_SCENE, 'BMP'),
    'GIF': picture_files.encode(_SCENE, 'GIF', transparency=3),
    'CMYK without a mark': picture_files.unmarked_cmyk(),
    'PPM': picture_files.encode(_SCENE, 'PPM'),
}


@pytest.mark.parametrize('name', sorted(_FILES))
def test_training_sees_the_displayed_pixels(name, tmp_path):
  content = _FILES[name]
  path = tmp_path / 'image'
  path.write_bytes(content)
  found = source_images.read_for_record(str(path), 10_000)
  expected = images.as_rgb(path)
  np.testing.assert_array_equal(found.image, expected)
  np.testing.assert_array_equal(
      image_decoding.decode(found.content, upright=False), expected)
  is_turned = 'EXIF' in name and not name.endswith('1')
  is_kept = name.startswith(('JPEG', 'PNG')) and not is_turned
  assert (found.content == content) == is_kept
  assert found.image_format == (
      'jpeg' if is_kept and name.startswith('JPEG') else 'png')
  assert found.stored_size == (
      _SCENE.size if 'EXIF' in name else found.image.size)


def test_a_truncated_file_is_refused_or_training_can_decode_it(tmp_path):
  path = tmp_path / 'image'
  refused = 0
  for name in ('JPEG 4:2:0', 'JPEG 4:2:0 progressive', 'PNG RGB'):
    for cut in (1, 2, 3, 5, 20, 300):
      path.write_bytes(_FILES[name][:-cut])
      try:
        found = source_images.read_for_record(str(path), 10_000)
      except errors.UserError as error:
        refused += 1
        assert 'image: damaged' in str(error)
      else:
        np.testing.assert_array_equal(
            image_decoding.decode(found.content), found.image)
  assert refused >= 6


@pytest.mark.parametrize('pixels, part', [
    (np.zeros([4, 5], np.int32), '32-bit integer pixels'),
    (np.zeros([4, 5], np.float32), 'floating-point pixels')])
def test_pixels_without_a_known_white_are_refused(pixels, part, tmp_path):
  path = tmp_path / 'cells.tif'
  Image.fromarray(pixels).save(path)
  with pytest.raises(errors.UserError, match=f'cells.tif: has {part}'):
    source_images.read_for_record(str(path), 100)
  with pytest.raises(errors.UserError, match=f'cells.tif: has {part}'):
    images.as_rgb(path)


def test_heic_without_plugin_is_named(tmp_path):
  path = tmp_path / 'photo.heic'
  path.write_bytes(b'\0\0\0\x18ftypheic' + bytes(99))
  with pytest.raises(errors.UserError, match='photo.heic: .*HEIC'):
    source_images.read_for_record(str(path), 100)


def _turn(path, orientation):
  """Rotates a stored image so that it is displayed as before."""
  data = Image.Exif()
  data[0x0112] = orientation
  seen = Image.open(path).convert('RGB')
  inverse = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}
  seen.transpose(inverse[orientation]).save(
      path, 'PNG', exif=data)
  return np.asarray(seen)


@pytest.mark.parametrize('orientation', [3, 6])
def test_images_are_rotated_to_match_their_labels(
    orientation, tiny_coco, tiny_spec):
  tiny = tiny_coco()
  seen = _turn(tiny.image_dir / '0.jpg', orientation)
  image = coco_annotations.read_split(str(tiny.root), 'val', tiny_spec)[0]
  example = records.decode_panoptic_example(coco_panoptic.encode(
      image, tiny_spec, splits.ReadOptions()).serialized)
  np.testing.assert_array_equal(example['image'], seen)
  np.testing.assert_array_equal(example['panoptic'], tiny.panoptic())


def test_a_label_of_the_unrotated_image_is_refused(
    tiny_coco, tiny_spec, tmp_path):
  tiny = tiny_coco()
  path = tiny.image_dir / '0.jpg'
  data = Image.Exif()
  data[0x0112] = 6
  Image.open(path).save(path, exif=data)
  image = coco_annotations.read_split(str(tiny.root), 'val', tiny_spec)[0]
  with pytest.raises(
      errors.UserError, match='0.jpg: its EXIF orientation rotates it to 8x6 .*'
      'its label has 6x8'):
    coco_panoptic.encode(image, tiny_spec, splits.ReadOptions())
  with pytest.raises(errors.UserError, match='EXIF'):
    label_records.encode(
        '0.jpg', str(path), tiny.panoptic(), 'label.png', tiny_spec,
        splits.ReadOptions())
