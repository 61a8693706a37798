"""Labels of COCO instances: equal to panoptic ones, and mistakes are named."""

import json
import pickle

import numpy as np
from PIL import Image
from pycocotools import mask as mask_lib
import pytest

from axial_tf import errors
from axial_tf.data.panoptic import records
from axial_tf.panoptic import label_png
from axial_tf.specs import dataset_spec
from data_prep.readers import coco, coco_instances, listed_files, splits
from tests.data_prep import tiny_exports

CAT, DOG, BIRD = tiny_exports.CAT, tiny_exports.DOG, tiny_exports.BIRD
# Train ids are 10 less than in the data; void is 9.
_SPEC = dataset_spec.DatasetSpec(
    name='pets', label_divisor=10, ignore_label=9, categories=tuple(
        dataset_spec.Category(id, train_id, name, is_thing, (id, 0, 0))
        for train_id, (id, name, is_thing) in enumerate(
            [(CAT, 'cat', True), (DOG, 'dog', True), (BIRD, 'bird', True),
             (40, 'floor', False)])))
_VOID, _FLOOR = 90, 30


class _Export:
  """An export of CVAT whose JSON a test changes."""

  def __init__(self, root):
    self.root = root
    tiny_exports.cvat(root)
    self.json_path = root / 'annotations' / 'instances_default.json'
    self.content = json.loads(self.json_path.read_text())
    self.spec_path = root / 'spec.json'
    self.spec_path.write_text(json.dumps(_SPEC.to_json()))

  @property
  def annotations(self):
    return self.content['annotations']

  def split(self, **options):
    self.json_path.write_text(json.dumps(self.content))
    return coco_instances.read_split(
        str(self.root), 'train',
        splits.ReadOptions(spec=str(self.spec_path), **options))

  def encoded(self, index=0, **options):
    split = pickle.loads(pickle.dumps(self.split(**options)))
    return split.encode(split.images[index])

  def label(self, index=0, **options):
    return _panoptic(self.encoded(index, **options))


def _panoptic(encoded):
  return records.decode_panoptic_example(
      encoded.serialized)['panoptic'].numpy()


@pytest.fixture
def export(tmp_path):
  return _Export(tmp_path / 'export')


def _expected(ids, rest=_VOID, on_top=DOG):
  """Label of the first image: dog and cat 1, the overlap is one pixel."""
  label = np.full(ids.shape, rest, np.int32)
  label[ids == CAT] = 1
  label[ids == DOG] = 11
  label[2, 2] = {CAT: 1, DOG: 11}[on_top]
  return label


def test_things_and_void(export):
  """The smaller cat is above the dog."""
  np.testing.assert_array_equal(
      export.label(), _expected(tiny_exports.classes(), on_top=CAT))


def test_the_later_or_the_one_with_the_larger_number_on_top(export):
  classes = tiny_exports.classes()
  np.testing.assert_array_equal(
      export.label(overlap='order'), _expected(classes, on_top=DOG))
  np.testing.assert_array_equal(
      export.label(overlap='z_order'), _expected(classes, on_top=CAT))
  del export.annotations[1]['attributes']
  with pytest.raises(errors.UserError, match=(
      "image 'a_2.png': annotation 2: expected a number 'z_order', as "
      '--overlap=z_order says, got nothing')):
    export.split(overlap='z_order')


def test_background(export):
  np.testing.assert_array_equal(
      export.label(background='floor'),
      _expected(tiny_exports.classes(), _FLOOR, CAT))
  for name in ('cat', 'sky'):
    with pytest.raises(errors.UserError, match=(
        f"--background={name}: expected a stuff class .* .floor.; add")):
      export.split(background=name)


def test_stuff_from_semantic_pngs(export):
  """Thing pixels there without an instance are a crowd; 0 is void."""
  semantic = np.full([8, 6], 40, np.uint8)
  semantic[0] = 0
  semantic[7, 3:] = DOG
  for name in tiny_exports.NAMES:
    tiny_exports.save(export.root / 'semantic' / f'{name}.png', semantic)
  expected = _expected(tiny_exports.classes(), _FLOOR, CAT)
  expected[0, 3:] = _VOID
  expected[7, 3:] = 10
  paths = splits.DataPaths(semantic_dir='semantic')
  np.testing.assert_array_equal(export.label(paths=paths), expected)
  expected[0, 3:] = _FLOOR
  np.testing.assert_array_equal(
      export.label(paths=paths, background='floor'), expected)
  expected[7, 3:] = _VOID
  expected[0, 3:] = _VOID
  np.testing.assert_array_equal(
      export.label(paths=paths, crowds='ignore'), expected)
  (export.root / 'semantic' / 'a_2.png').unlink()
  with pytest.raises(errors.UserError, match=(
      '1 of 3 semantic PNGs are missing, first: .*semantic/a_2.png')):
    listed_files.require_present(export.split(paths=paths), 0)
  tiny_exports.save(export.root / 'semantic' / 'a_1.png', semantic.T)
  with pytest.raises(errors.UserError, match='a_1.png: has 8x6 pixels'):
    export.encoded(paths=paths)
  with pytest.raises(errors.UserError, match='--semantic_dir=x: expected a f'):
    export.split(paths=splits.DataPaths(semantic_dir='x'))


def test_stuff_polygons_are_one_segment(export):
  export.annotations[0]['category_id'] = 40
  export.annotations[3]['category_id'] = 40
  label = export.label()
  np.testing.assert_array_equal(
      label == _FLOOR, tiny_exports.classes() > 0)


def test_crowds(export):
  export.annotations[3]['iscrowd'] = 1
  assert (export.label() == 10).sum() == 15
  assert (export.label(crowds='ignore') == _VOID).sum() == 48 - 9
  export.annotations[3]['category_id'] = 40
  with pytest.raises(errors.UserError, match='annotation 4: expected iscrowd 0 '
                     'for stuff, got 1'):
    export.split()


def test_images_without_annotations_are_kept(export):
  export.content['annotations'] = []
  assert (export.label() == _VOID).all()
  assert (export.label(background='floor') == _FLOOR).all()


def test_hidden_instances_are_left_out(export):
  """Two cats of one mask, one of a dot, and what is left counts from 1."""
  for polygon in (tiny_exports.rectangle(0, 0, 3, 3),
                  tiny_exports.rectangle(4, 7, 0, 0)):
    export.annotations.append({
        'image_id': 1, 'category_id': CAT, 'segmentation': [polygon]})
  encoded = export.encoded()
  assert encoded.notice == (
      'instances that others cover completely, or that have no pixel, were '
      'left out')
  np.testing.assert_array_equal(
      _panoptic(encoded), _expected(tiny_exports.classes(), on_top=CAT))
  assert export.encoded(1).notice is None


def test_the_label_is_that_of_the_panoptic_pngs(shared_dir, tmp_path):
  """COCO's own images as instances and semantic PNGs, nothing overlaps."""
  root = shared_dir / 'data' / 'coco_panoptic_sample'
  custom = coco.read_split(str(root), 'val2017', splits.ReadOptions())
  panoptic = json.loads(
      (root / 'annotations' / 'panoptic_val2017.json').read_text())
  spec = dataset_spec.DatasetSpec.load('coco')
  content = {'images': panoptic['images'], 'annotations': [],
             'categories': panoptic['categories']}
  names = {image['id']: image['file_name'] for image in panoptic['images']}
  for listed in panoptic['annotations']:
    ids = label_png.from_image(Image.open(
        root / 'annotations' / 'panoptic_val2017' / listed['file_name']), 'x')
    semantic = np.zeros(ids.shape, np.uint8)
    for segment in listed['segments_info']:
      mask = ids == segment['id']
      if not spec.by_source_id[segment['category_id']].is_thing:
        semantic[mask] = segment['category_id']
        continue
      run_lengths = mask_lib.encode(np.asfortranarray(mask, np.uint8))
      content['annotations'].append({
          **segment, 'image_id': listed['image_id'], 'segmentation': {
              'size': list(ids.shape),
              'counts': run_lengths['counts'].decode()}})
    tiny_exports.save(
        tmp_path / 'semantic' / listed['file_name'], semantic)
  tiny_exports.write_json(
      tmp_path / 'annotations' / 'instances_val2017.json', content)
  (tmp_path / 'val2017').symlink_to(root / 'val2017')
  split = coco_instances.read_split(
      str(tmp_path), 'val2017', splits.ReadOptions(
          spec='coco', paths=splits.DataPaths(semantic_dir='semantic')))
  assert len(split.images) == 3 and len(names) == 3
  expected = {i.filename: custom.encode(i) for i in custom.images}
  for image in split.images:
    encoded = split.encode(image)
    assert encoded.counts == expected[image.filename].counts
    assert encoded.serialized == expected[image.filename].serialized


def _annotation(**changes):
  return lambda e: e.annotations[1].update(changes)


@pytest.mark.parametrize('change, message', [
    (_annotation(image_id=77), 'annotation 2 refers to image 77, which is not'),
    (_annotation(category_id=5), "image 'a_2.png': annotation 2: has the "
     "category_id 5, which is not in the spec 'pets'"),
    (_annotation(category_id='cat'), "has the category_id cat, which is not"),
    (_annotation(category_id=None), "annotations.1.: expected 'category_id'"),
    (_annotation(iscrowd=2), 'annotation 2: expected iscrowd 0 or 1, got 2'),
    (lambda e: e.content.pop('annotations'), "expected a list under 'annot"),
    (lambda e: e.content.update(images=[]), 'lists no images; nothing to do'),
    (lambda e: e.content['images'][0].update(width=0), 'at least 1 pixel'),
    (lambda e: e.content['images'][0].update(height=None), "expected 'height'"),
    (lambda e: e.content['images'][1].update(file_name='a_1.png'),
     "the file name 'a_1.png' is listed twice"),
    (lambda e: e.content['images'][1].update(id=1), 'two images have the id 1'),
    (lambda e: e.content['images'][1].update(file_name='../a_2.png'),
     "'../a_2.png' leads out of"),
    (lambda e: e.content['images'][1].update(file_name='..\\a_2.png'),
     "'../a_2.png' leads out of"),
    (lambda e: e.content['categories'][0].update(isthing=0), 'isthing 0, but'),
    (lambda e: e.spec_path.unlink(), 'spec.json: no such file'),
])
def test_a_mistake_in_the_json_is_named(export, change, message):
  change(export)
  with pytest.raises(errors.UserError, match=message):
    export.split()


@pytest.mark.parametrize('change, message', [
    (_annotation(segmentation=[]), "image 'a_2.png': annotation 2: .* a box"),
    (lambda e: e.content['images'][1].update(height=7),
     r"a_2.png': expected 6x8 pixels .* as in .*a_2.png, got 6x7"),
    (lambda e: e.content['images'][1].update(height=10**6, width=10**6),
     'has 1000000x1000000 pixels .* more than the limit'),
    (lambda e: e.annotations.extend([
        {'image_id': 2, 'category_id': CAT,
         'segmentation': [tiny_exports.rectangle(x, y, 1, 1)]}
        for x in range(3, 6) for y in range(3)]),
     "more than 9 instances of 'cat'; raise label_divisor"),
    (lambda e: (e.root / 'images' / 'a_2.png').write_bytes(b'x'),
     'a_2.png: damaged'),
])
def test_a_mistake_in_an_image_is_named(export, change, message):
  change(export)
  with pytest.raises(errors.UserError, match=message):
    export.encoded(1)
  export.encoded(0)


def test_masks_of_an_image_before_its_rotation(export):
  path = export.root / 'images' / 'a_2.png'
  picture = Image.open(path)
  exif = picture.getexif()
  exif[0x0112] = 6
  picture.save(path, exif=exif)
  with pytest.raises(errors.UserError, match='EXIF orientation rotates it to'):
    export.encoded(1)


def test_without_a_spec(export):
  with pytest.raises(errors.UserError, match=(
      '--spec=FILE.json belongs to --dataset=coco_instances')):
    coco_instances.read_split(str(export.root), 'train', splits.ReadOptions())
