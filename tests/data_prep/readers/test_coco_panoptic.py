"""Labels of COCO panoptic: exact meaning, and each disagreement is found."""

import io
import json
import struct
import zlib

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from PIL import Image
import pytest

from axial_tf import errors
from axial_tf.data.panoptic import records
from axial_tf.specs import dataset_spec
from data_prep.readers import (
  coco_annotations,
  coco_panoptic,
  panoptic_labels,
  splits,
)


def _serialize(image, spec, **options):
  return coco_panoptic.encode(
      image, spec, splits.ReadOptions(**options)).serialized


def _encode(tiny, spec, index=0, **options):
  image = coco_annotations.read_split(
      str(tiny.root), tiny.split, spec)[index]
  return records.decode_panoptic_example(_serialize(image, spec, **options))


class TestMeaning:

  def test_things_count_from_one_and_crowds_are_zero(
      self, tiny_coco, tiny_spec):
    tiny = tiny_coco()
    example = _encode(tiny, tiny_spec)
    np.testing.assert_array_equal(example['panoptic'], tiny.panoptic())
    assert example['filename'].numpy() == b'0.jpg'

  def test_image_bytes_are_stored_unchanged(self, tiny_coco, tiny_spec):
    tiny = tiny_coco()
    image = coco_annotations.read_split(str(tiny.root), 'val', tiny_spec)[1]
    original = (tiny.image_dir / '1.jpg').read_bytes()
    assert original in _serialize(image, tiny_spec)

  @pytest.mark.parametrize('image_format', ['TIFF', 'WEBP'])
  def test_other_formats_are_stored_without_loss(
      self, tiny_coco, tiny_spec, image_format):
    tiny = tiny_coco()
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, [8, 6, 3], np.uint8)
    options = {'lossless': True} if image_format == 'WEBP' else {}
    Image.fromarray(pixels).save(buffer, format=image_format, **options)
    (tiny.image_dir / '0.jpg').write_bytes(buffer.getvalue())
    np.testing.assert_array_equal(_encode(tiny, tiny_spec)['image'], pixels)

  def test_grey_images_become_rgb(self, tiny_coco, tiny_spec):
    tiny = tiny_coco()
    grey = np.arange(48, dtype=np.uint8).reshape(8, 6)
    Image.fromarray(grey).save(tiny.image_dir / '0.jpg', quality=100)
    image = _encode(tiny, tiny_spec)['image'].numpy()
    np.testing.assert_allclose(image, np.stack([grey] * 3, -1), atol=2)

  @pytest.mark.parametrize('kind', ['RGBA', 'P', 'exchanged sizes'])
  def test_other_ways_to_write_the_same(self, tiny_coco, tiny_spec, kind):
    tiny = tiny_coco()
    path = tiny.label_dir / '0.png'
    notice = None
    if kind == 'exchanged sizes':
      tiny.content['images'][0].update(height=6, width=8)
      tiny.write_json()
      notice = 'swapped'
    else:
      label = Image.open(path)
      label = label.convert(kind) if kind == 'RGBA' else label.quantize(8)
      label.save(path)
    image = coco_annotations.read_split(str(tiny.root), 'val', tiny_spec)[0]
    encoded = coco_panoptic.encode(image, tiny_spec, splits.ReadOptions())
    np.testing.assert_array_equal(records.decode_panoptic_example(
        encoded.serialized)['panoptic'], tiny.panoptic())
    assert (encoded.notice is None) == (notice is None)

  def test_area_and_iscrowd_may_be_absent(self, tiny_coco, tiny_spec):
    tiny = tiny_coco()
    for segment in tiny.segments(0):
      del segment['area']
      if not segment['iscrowd']:
        del segment['iscrowd']
    tiny.write_json()
    np.testing.assert_array_equal(
        _encode(tiny, tiny_spec)['panoptic'], tiny.panoptic())

  @settings(max_examples=40, deadline=None)
  @given(st.data())
  def test_any_label_keeps_its_partition(self, data):
    """Equal segments stay together; ids give category and instance number."""
    height, width = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    pool = data.draw(st.lists(
        st.integers(1, 2**24 - 1), min_size=1, max_size=5, unique=True))
    ids = np.array(data.draw(st.lists(
        st.sampled_from([0, *pool]), min_size=height * width,
        max_size=height * width)), np.int32).reshape(height, width)
    spec = dataset_spec.DatasetSpec(
        name='x', label_divisor=10, ignore_label=0, categories=(
            dataset_spec.Category(5, 1, 'thing', True, (0, 0, 0)),))
    segments = [{'id': i, 'category_id': 5} for i in pool if i in ids]
    panoptic = panoptic_labels.panoptic_label(ids, segments, spec, 'x')
    expected = np.zeros_like(ids)
    for instance, segment in enumerate(segments, start=1):
      expected[ids == segment['id']] = 10 + instance
    np.testing.assert_array_equal(panoptic, expected)

  def test_ignored_crowds_are_void(self, tiny_coco, tiny_spec):
    tiny = tiny_coco()
    expected = tiny.panoptic()
    expected[expected == 10] = tiny_spec.void_label
    example = _encode(tiny, tiny_spec, crowds='ignore')
    np.testing.assert_array_equal(example['panoptic'], expected)

  @pytest.mark.parametrize('name, stored', [
      ('0.jpg', b'\xff\xd8'), ('0.png', b'\x89PNG')])
  def test_large_images_shrink_with_their_labels(
      self, tiny_coco, tiny_spec, name, stored):
    """Pixels become averages, labels are picked and then counted."""
    tiny = tiny_coco()
    ids = tiny.label().repeat(8, 0).repeat(8, 1)
    tiny.write_label(0, ids)
    for segment in tiny.segments(0):
      segment['area'] = int((ids == segment['id']).sum())
    (tiny.image_dir / '0.jpg').unlink()
    stripes = np.zeros([64, 48, 3], np.uint8)
    stripes[:, ::2] = 200
    Image.fromarray(stripes).save(tiny.image_dir / name, quality=100)
    tiny.content['images'][0].update(file_name=name, height=64, width=48)
    tiny.write_json()
    image = coco_annotations.read_split(str(tiny.root), 'val', tiny_spec)[0]
    encoded = coco_panoptic.encode(
        image, tiny_spec, splits.ReadOptions(max_long_side=8))
    example = records.decode_panoptic_example(encoded.serialized)
    np.testing.assert_array_equal(example['panoptic'], tiny.panoptic())
    np.testing.assert_allclose(example['image'], 100, atol=12)
    assert encoded.counts['pixels'] == {
        9: 6, **{train_id: int((tiny.panoptic() // 10 == train_id).sum())
                 for train_id in (0, 1)}}
    assert encoded.counts['segments'] == {0: 1, 1: 2}
    assert encoded.counts['crowds'] == {1: 1}
    assert stored in encoded.serialized

  def test_a_test_image_has_no_label(self, tiny_coco, tiny_spec):
    tiny = tiny_coco(split='test')
    tiny.json_path.unlink()
    assert (_encode(tiny, tiny_spec)['panoptic'].numpy() == -1).all()

  def test_official_sample(self, shared_dir):
    """Categories, areas and crowds of three COCO images, from their JSON."""
    root = shared_dir / 'data' / 'coco_panoptic_sample'
    spec = dataset_spec.DatasetSpec.load('coco')
    content = json.loads(
        (root / 'annotations/panoptic_val2017.json').read_text())
    names = {image['id']: image['file_name'] for image in content['images']}
    images = {image.filename: image for image in coco_annotations.read_split(
        str(root), 'val2017', spec)}
    for annotation in content['annotations']:
      expected, instances = {}, {}
      for segment in annotation['segments_info']:
        category = spec.by_source_id[segment['category_id']]
        label = category.train_id * 256
        if category.is_thing and not segment['iscrowd']:
          instances[label] = instances.get(label, 0) + 1
          label += instances[label]
        expected[label] = expected.get(label, 0) + segment['area']
      image = images[names[annotation['image_id']]]
      expected[0] = image.height * image.width - sum(expected.values())
      panoptic = records.decode_panoptic_example(
          _serialize(image, spec))['panoptic'].numpy()
      labels, areas = np.unique(panoptic, return_counts=True)
      assert dict(zip(labels.tolist(), areas.tolist())) == expected


def _edit_segment(**changes):
  def edit(tiny):
    tiny.segments(0)[1].update(changes)
  return edit


def _damage(folder, name, content):
  def edit(tiny):
    path = getattr(tiny, folder) / name
    whole = path.read_bytes()
    path.write_bytes(content(whole) if callable(content) else content)
  return edit


def _label_of_size(tiny):
  tiny.write_label(0, np.zeros([6, 8], np.int32))


def _unknown_pixels(tiny):
  ids = tiny.label()
  ids[7, 0] = 77
  tiny.write_label(0, ids)


def _grey_label(tiny):
  Image.fromarray(np.zeros([8, 6], np.uint8)).save(tiny.label_dir / '0.png')


def _many_instances(tiny):
  ids = np.arange(1, 49, dtype=np.int32).reshape(8, 6)
  tiny.write_label(0, ids)
  tiny.content['annotations'][0]['segments_info'] = [
      {'id': i, 'category_id': 30, 'iscrowd': 0} for i in range(1, 49)]


def _repeat_segment(tiny):
  tiny.segments(0).append(dict(tiny.segments(0)[1]))


def _stuff_crowd(tiny):
  tiny.segments(0)[3]['iscrowd'] = 1


def _text_crowd(tiny):
  tiny.segments(0)[1]['iscrowd'] = 'no'


def _huge(tiny):
  """A PNG whose header alone says that it has 3.6e9 pixels."""
  content = b'\x89PNG\r\n\x1a\n'
  for name, data in (
      (b'IHDR', struct.pack('>IIBBBBB', 60000, 60000, 8, 2, 0, 0, 0)),
      (b'IDAT', zlib.compress(b'few')), (b'IEND', b'')):
    content += struct.pack('>I', len(data)) + name + data + struct.pack(
        '>I', zlib.crc32(name + data))
  (tiny.image_dir / '0.jpg').write_bytes(content)


def _wrong_size_in_json(tiny):
  tiny.content['images'][0].update(height=6, width=9)


def _exchanged_sizes_of_json_and_image(tiny):
  tiny.content['images'][0].update(height=6, width=8)
  tiny.write_json()
  path = tiny.image_dir / '0.jpg'
  Image.open(path).transpose(Image.Transpose.ROTATE_90).save(path)


@pytest.mark.parametrize('edit, message', [
    (_edit_segment(category_id=31), "0.png.*category_id 31.*'tiny'.*add it"),
    (_edit_segment(category_id='cat'), "integer 'category_id'"),
    (_edit_segment(id=99), '0.png: no pixel has the id of segment 99 .cat'),
    (_edit_segment(area=5), '0.png.*6 pixels, but the JSON gives the area 5'),
    (_edit_segment(id=0), 'id 0 is reserved for void'),
    (_unknown_pixels, '0.png.*segment id 77, which is not among'),
    (_repeat_segment, 'listed twice'),
    (_stuff_crowd, "stuff class 'ground' is marked iscrowd"),
    (_text_crowd, "iscrowd 'no'; expected 0 or 1"),
    (_huge, '0.jpg: has 60000x60000 pixels.*--max_pixels'),
    (_many_instances, 'more than 9 instances.*raise label_divisor'),
    (_label_of_size, '0.png: expected 6x8 pixels.*got 8x6'),
    (_wrong_size_in_json, '0.jpg: expected 9x6 pixels.*got 6x8'),
    (_exchanged_sizes_of_json_and_image, '0.png: expected 8x6 .*got 6x8'),
    (_grey_label, '0.png: expected an RGB PNG.*mode L'),
    (_damage('image_dir', '0.jpg', lambda whole: whole[:-100]),
     '0.jpg: damaged'),
    (_damage('image_dir', '0.jpg', b'no picture'), '0.jpg: damaged'),
    (_damage('image_dir', '0.jpg', b''), '0.jpg: damaged'),
    (_damage('label_dir', '0.png', lambda whole: whole[:-20]),
     '0.png: damaged'),
    (_damage('label_dir', '0.png', lambda whole: whole[:-1]),
     '0.png: damaged'),
])
def test_a_disagreement_is_named(tiny_coco, tiny_spec, edit, message):
  tiny = tiny_coco()
  edit(tiny)
  tiny.write_json()
  with pytest.raises(errors.UserError, match=message) as error:
    _encode(tiny, tiny_spec)
  assert '\n' not in str(error.value)
  assert str(tiny.root) in str(error.value)


@pytest.mark.parametrize('image_format', ['JPEG', 'PNG'])
def test_no_truncated_image_reaches_the_records(
    tiny_coco, tiny_spec, image_format):
  """Whatever the converter accepts, TensorFlow can decode."""
  tiny = tiny_coco()
  path = tiny.image_dir / '0.jpg'
  Image.open(path).convert('RGB').save(path, format=image_format)
  whole = path.read_bytes()
  image = coco_annotations.read_split(str(tiny.root), 'val', tiny_spec)[0]
  for length in range(1, len(whole)):
    path.write_bytes(whole[:length])
    with pytest.raises(errors.UserError, match='damaged'):
      _serialize(image, tiny_spec)
  path.write_bytes(whole)
  records.decode_panoptic_example(_serialize(image, tiny_spec))


def test_a_deleted_file_is_named(tiny_coco, tiny_spec):
  """Deleted between reading the JSON and encoding."""
  tiny = tiny_coco()
  image = coco_annotations.read_split(str(tiny.root), 'val', tiny_spec)[0]
  (tiny.image_dir / '0.jpg').unlink()
  with pytest.raises(
      errors.UserError, match='0.jpg: cannot be read .No such file'):
    _serialize(image, tiny_spec)
