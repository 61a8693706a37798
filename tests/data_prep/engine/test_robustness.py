"""Files damaged at random: refused or skipped, never a bad record.

Uses real files where the shared data exists, and photo-like ones made here.
"""

import functools
import io
import json
import random
import shutil
import struct
import zlib

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.data.common import record_files
from axial_tf.data.panoptic import records
from axial_tf.specs import dataset_spec
from data_prep.engine import conversion, jobs, local_conversion
from data_prep.readers import coco, coco_instances, masks, splits
from tests.data_prep import tiny_exports

_CORRUPTIONS = 200


def _truncate(rng, content):
  return content[:rng.randrange(len(content))]


def _flip(rng, content):
  content = bytearray(content)
  for _ in range(rng.choice([1, 1, 3, 30])):
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
  return bytes(content)


def _flip_header(rng, content):
  """Changes a byte of the header, where it has the most effect."""
  content = bytearray(content)
  content[rng.randrange(min(700, len(content)))] = rng.randrange(256)
  return bytes(content)


def _other_format(rng, content):
  try:
    image = Image.open(io.BytesIO(content)).convert('RGB')
  except OSError:
    return b'\x89PNG' + content
  buffer = io.BytesIO()
  image.save(buffer, format=rng.choice(['JPEG', 'PNG', 'WEBP', 'GIF']))
  return buffer.getvalue()


def _empty(rng, content):
  del rng, content
  return b''


def _huge_header(rng, content):
  """Claims another size, with a matching checksum."""
  side = rng.choice([0, 1, 5000, 65500, 2**31 - 1])
  if content[:4] == b'\x89PNG':
    header = b'IHDR' + struct.pack('>II', side, side) + content[24:29]
    return content[:12] + header + struct.pack(
        '>I', zlib.crc32(header)) + content[33:]
  for marker in (b'\xff\xc0', b'\xff\xc2'):
    place = content.find(marker)
    if place >= 0:
      return content[:place + 5] + struct.pack(
          '>HH', min(side, 65535), min(side, 65535)) + content[place + 9:]
  return content[::-1]


_PICTURES = [
    _truncate, _flip, _flip, _flip_header, _flip_header, _other_format, _empty,
    _huge_header]
_VALUES = [None, True, -1, 0, 2**70, 1.5, float('nan'), '', 'x', '../x', '\0',
           '\ud800', 'a' * 5000, [], [[]], {}, {'id': 1}]


def _wrong_type(rng, content):
  """Replaces one value anywhere in a JSON."""
  content = json.loads(content)
  places = []

  def visit(parent):
    for key in (parent if isinstance(parent, dict) else range(len(parent))):
      places.append((parent, key))
      if isinstance(parent[key], (dict, list)):
        visit(parent[key])

  visit(content)
  parent, key = rng.choice(places)
  parent[key] = rng.choice(_VALUES)
  return json.dumps(content).encode()


_JSON = [_truncate, _flip, _empty, _wrong_type, _wrong_type, _wrong_type,
         _wrong_type]
_TEXT = [_truncate, _flip, _empty]


@pytest.fixture
def made(tiny_coco, tiny_spec, tmp_path):
  """A folder of pictures with texture, so that damage can hit anything."""
  tiny = tiny_coco()
  for index in range(3):
    ids = tiny.label().repeat(8, 0).repeat(8, 1)
    tiny.write_label(index, ids)
    for segment in tiny.segments(index):
      segment['area'] = int((ids == segment['id']).sum())
    pixels = np.random.default_rng(index).integers(0, 256, [64, 48, 3])
    path = tiny.image_dir / f'{index}.jpg'
    path.unlink()
    name = f'{index}.png' if index == 2 else path.name
    Image.fromarray(pixels.astype(np.uint8)).save(
        path.with_name(name), progressive=index == 1)
    tiny.content['images'][index].update(
        height=64, width=48, file_name=name)
  tiny.write_json()
  spec = tmp_path / 'spec.json'
  spec.write_text(json.dumps(tiny_spec.to_json()))
  return tiny.root, 'val', functools.partial(
      coco.read_custom_split, options=splits.ReadOptions(
          spec=str(spec), max_pixels=10**6))


@pytest.fixture
def real(shared_dir, tmp_path):
  root = tmp_path / 'real'
  source = shared_dir / 'data' / 'coco_panoptic_sample'
  for name in ('annotations', 'val2017'):
    shutil.copytree(source / name, root / name)
  return root, 'val2017', functools.partial(
      coco.read_split, options=splits.ReadOptions(max_pixels=10**6))


def _own_data(tmp_path, make, read):
  """Returns own data, which has a spec with a divisor for damaged labels."""
  root, spec = tmp_path / 'own', tmp_path / 'own_spec.json'
  make(root)
  spec.write_text(json.dumps(dataset_spec.DatasetSpec(
      name='pets', label_divisor=50, ignore_label=9, categories=tuple(
          dataset_spec.Category(id, id, name, id in (1, 2), color)
          for (id, color), name in zip(
              tiny_exports.COLORS.items(), ('ground', 'cat', 'dog', 'bird')))
  ).to_json()))
  return root, 'train', functools.partial(read, options=splits.ReadOptions(
      spec=str(spec), max_pixels=10**6))


@pytest.fixture
def instances(tmp_path):
  return _own_data(tmp_path, tiny_exports.cvat, coco_instances.read_split)


@pytest.fixture
def mask_folders(tmp_path):
  return _own_data(tmp_path, tiny_exports.cvat_masks, masks.read_split)


# Real pictures take longer; most damage hits the small ones.
@pytest.mark.slow
@pytest.mark.parametrize('source, count', [
    ('made', _CORRUPTIONS - 60), ('real', 60), ('instances', 60),
    ('mask_folders', 60)])
def test_each_damage_is_refused_or_harmless(source, count, request, tmp_path):
  root, split, read = request.getfixturevalue(source)
  files = sorted(path for path in root.rglob('*') if path.is_file())
  refused = 0
  for seed in range(count):
    rng = random.Random(seed)
    path = rng.choice(files)
    whole = path.read_bytes()
    damage = rng.choice({'.json': _JSON, '.txt': _TEXT}.get(
        path.suffix, _PICTURES))
    path.write_bytes(damage(rng, whole))
    out = tmp_path / 'out'
    try:
      job = jobs.Job(read(str(root), split), str(out), 1, {}, {})
      entry = conversion.convert(job, 1, functools.partial(
          local_conversion.make_shards, processes=1))
    except errors.UserError as error:
      refused += 1
      assert '\n' not in str(error), str(error)
      assert len(str(error)) < 1000
    else:
      refused += len(entry['skipped'])
      assert entry['num_images'] + len(entry['skipped']) in (2, 3)
      readable = list(map(
          records.decode_panoptic_example, tf.data.TFRecordDataset(list(
              record_files.verify_shards(str(out / '*.tfrecord')).paths))))
      assert len(readable) == entry['num_images']
    path.write_bytes(whole)
    shutil.rmtree(out, ignore_errors=True)
  # Some bits are of no consequence, most are not.
  assert refused > count * 0.5
