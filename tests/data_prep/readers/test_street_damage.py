"""Damaged street scenes: a clear line each, never another exception."""

import functools
import json
import random
import shutil

from cityscapesscripts.preparation import createPanopticImgs
import pytest

from axial_tf import errors
from data_prep.engine import outcomes
from data_prep.readers import cityscapes, mapillary, splits
from tests.data_prep import tiny_cityscapes, tiny_vistas

_ODD_VALUES = (None, -1, 0, 2**70, 1.5, True, 'x', '../../x', '\x00', [], {},
               [[1]], 'a' * 5000, float('nan'))


def _cityscapes(root):
  tiny_cityscapes.make(root)
  return functools.partial(cityscapes.read_split, str(root), 'train')


def _cityscapes_json(root):
  read = _cityscapes(root)
  createPanopticImgs.convert2panoptic(
      cityscapesPath=str(root / 'gtFine'), useTrainId=True,
      setNames=['train'])
  return read


def _vistas_json(root, version='v2.0'):
  tiny_vistas.TinyVistas(root, version)
  return functools.partial(
      mapillary.read_split, str(root), 'training', version=version)


def _vistas(root):
  read = _vistas_json(root, 'v1.2')
  shutil.rmtree(root / 'training' / 'v1.2' / 'panoptic')
  return read


def _damage_json(content, rng):
  """Replaces a value by an odd one, or removes something."""
  node = content
  while True:
    key = rng.choice(
        list(node) if isinstance(node, dict) else range(len(node)))
    child = node[key]
    if isinstance(child, (dict, list)) and child and rng.random() < 0.85:
      node = child
    elif rng.random() < 0.2:
      del node[key]
      return content
    else:
      node[key] = rng.choice(_ODD_VALUES)
      return content


def _damage_bytes(content, others, rng):
  kind = rng.randrange(4)
  if kind == 0:
    return content[:rng.randrange(len(content))]
  if kind == 1:
    content = bytearray(content)
    for _ in range(3):
      content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(content)
  return b'' if kind == 2 else rng.choice(others).read_bytes()


@pytest.mark.parametrize(
    'make', [_cityscapes, _cityscapes_json, _vistas, _vistas_json])
def test_damage_is_reported_in_one_line(tmp_path, make):
  rng = random.Random(make.__name__)
  read_split = make(tmp_path)
  files = sorted(p for p in tmp_path.rglob('*') if p.is_file())
  jsons = [path for path in files if path.suffix == '.json']
  told = 0
  for _ in range(40):
    path = rng.choice(jsons if jsons and rng.random() < 0.5 else files)
    content = path.read_bytes()
    if path in jsons and rng.random() < 0.8:
      path.write_text(json.dumps(_damage_json(json.loads(content), rng)))
    else:
      path.write_bytes(_damage_bytes(content, files, rng))
    try:
      read = read_split(options=splits.ReadOptions())
      faults = [outcomes.of_image(read.encode, image).fault
                for image in read.images]
    except errors.UserError as error:
      faults = [str(error)]
    path.write_bytes(content)
    for fault in faults:
      assert fault is None or ('\n' not in fault and len(fault) < 1500)
    told += any(faults)
  # Some of the damage does no harm: a name in a JSON, or the same file again.
  assert told > 10
