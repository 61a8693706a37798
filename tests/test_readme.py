"""The README's commands work as printed, one after the other, in one folder."""

import json
import os
import pathlib
import sys

import numpy as np
from PIL import Image
import pytest

from axial_tf.export import saved_model
from tests import color_model, doc_commands, tools

_README = pathlib.Path(__file__).resolve().parent.parent / 'README.md'
# Added to the command that trains: few steps of a small network, without
# attention, whose graph is slow to build.
_TINY = ' '.join(f"--gin_params='{binding}'" for binding in (
    'BLOCKS = (1, 1, 1, 1)', 'WIDTH = 0.125',
    'variant_settings.spatial = "convolution"', 'BATCH_SIZE = 2',
    'TRAIN_STEPS = 2', 'WARMUP_STEPS = 1',
    'AugmentationSettings.crop_size = (49, 65)'))


# Category ids of ground, ball and sky in the user's data.
_IDS = (5, 37, 8)


def write_scenes(folder: pathlib.Path, split: str, count: int) -> None:
  """Writes scenes of `color_model` in COCO's panoptic layout."""
  (folder / split).mkdir(parents=True)
  labels = folder / 'annotations' / f'panoptic_{split}'
  labels.mkdir(parents=True)
  content = {'images': [], 'annotations': [], 'categories': [
      {'id': id, 'name': c.name, 'isthing': int(c.is_thing)}
      for id, c in zip(_IDS, color_model.SPEC.categories)]}
  for number in range(count):
    image, panoptic = color_model.scene(scale=2)
    Image.fromarray(image).save(folder / split / f'{number}.jpg', quality=95)
    panoptic = panoptic + 1  # 0 means void.
    Image.fromarray(np.stack(
        [panoptic & 255, panoptic >> 8, 0 * panoptic], -1).astype(np.uint8)
    ).save(labels / f'{number}.png')
    height, width = panoptic.shape
    content['images'].append({
        'id': number, 'file_name': f'{number}.jpg', 'height': height,
        'width': width})
    content['annotations'].append({
        'image_id': number, 'file_name': f'{number}.png', 'segments_info': [
            {'id': int(id), 'category_id': _IDS[id // 100], 'iscrowd': 0,
             'area': int(np.sum(panoptic == id))}
            for id in np.unique(panoptic)]})
  labels.with_suffix('.json').write_text(json.dumps(content))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """A folder that holds nothing but the user's data, as the README names it."""
  folder = tmp_path_factory.mktemp('user') / "it's [1] ü"
  folder.mkdir()
  for split, count in (('train', 4), ('val', 2)):
    write_scenes(folder / 'data' / 'my_scenes', split, count)
  (folder / 'photos').mkdir()
  image, _ = color_model.scene(scale=3)
  for path in ('photo.jpg', 'photos/one.jpg', 'photos/two.jpg'):
    Image.fromarray(image).save(folder / path)
  os.symlink(sys.prefix, folder / '.venv')
  # What `make demo` would leave.
  saved_model.export_saved_model(
      color_model.inference(), str(folder / 'demo' / 'export'))
  return folder


@pytest.mark.slow
def test_the_commands_work_in_order(folder, monkeypatch):
  monkeypatch.chdir(folder)
  names = {}
  for language, block in doc_commands.blocks(_README):
    if language == 'python':  # All blocks of Python are one session.
      exec(compile(block, 'README.md', 'exec'), names)
      continue
    assert language == 'bash', f'{language}: who runs this block?'
    for option, module, *arguments in doc_commands.commands(
        block, folder, {'--gin_file=': _TINY}):
      assert option == '-m'
      tools.succeeds(module, *arguments)
  assert names['y'].shape == [1, 65, 97, 128]
  made = {str(path.relative_to(folder)) for path in folder.rglob('*')
          if '.venv' not in path.parts}
  assert {'my_scenes.json',
          'datasets/my_scenes/dataset_info.json',
          'runs/my_scenes/metrics.jsonl',
          'results/one_panoptic.png', 'results/two_panoptic.png'} <= made
  metrics = [json.loads(line) for line in
             (folder / 'runs/my_scenes/metrics.jsonl').read_text().splitlines()]
  assert [m['step'] for m in metrics] == [2, 2] and metrics[0] == metrics[1]


def test_the_environment_comes_first():
  commands = [line for language, block in doc_commands.blocks(_README)
              if language == 'bash'
              for line in block.splitlines() if not line.startswith('make ')]
  assert commands[0] == 'source .venv/bin/activate'
