"""The walk-through for own data works as printed, on tiny images."""

import json
import pathlib
import subprocess
import sys

import numpy as np
from PIL import Image
import pytest

from tests import doc_commands, tools
from tests.data_prep import tiny_exports

_PAGE = pathlib.Path(__file__).resolve().parents[1] / 'docs' / 'your_data.md'
_NAMES = [f'film{film}_{frame:03}' for film in range(6) for frame in range(2)]
_SIDE = 48
# Few steps of a small network.
_TINY = ' '.join(f"--gin_params='{binding}'" for binding in (
    'BLOCKS = (1, 1, 1, 1)', 'WIDTH = 0.125', 'HEADS = 2', 'BATCH_SIZE = 2',
    'TRAIN_STEPS = 2', 'WARMUP_STEPS = 1', 'SCALES = (1.0,)', 'FLIP = False',
    'variant_settings.spatial = "convolution"',
    'AugmentationSettings.crop_size = (49, 49)'))


def _cells(seed: int):
  """Returns an image of bright squares, and the polygons of these."""
  rng = np.random.default_rng(seed)
  image = rng.integers(0, 60, [_SIDE, _SIDE, 3])
  polygons = []
  for y, x in ((2, 2), (2, 26), (26, 2), (26, 26)):
    side = int(rng.integers(8, 18))
    image[y:y + side, x:x + side] += 150
    polygons.append(tiny_exports.rectangle(x, y, side, side))
  return Image.fromarray(image.astype(np.uint8)), polygons


def _write_export(root: pathlib.Path) -> None:
  content = {'images': [], 'annotations': [], 'categories': [
      {'id': 1, 'name': 'cell', 'supercategory': ''}]}
  (root / 'images').mkdir(parents=True)
  (root / 'annotations').mkdir()
  for number, name in enumerate(_NAMES, 1):
    image, polygons = _cells(number)
    image.save(root / 'images' / f'{name}.png')
    content['images'].append({
        'id': number, 'file_name': f'{name}.png', 'height': _SIDE,
        'width': _SIDE})
    content['annotations'] += [{
        'id': 10 * number + place, 'image_id': number, 'category_id': 1,
        'segmentation': [polygon], 'iscrowd': 0, 'area': 1.0}
        for place, polygon in enumerate(polygons)]
  (root / 'annotations' / 'instances_default.json').write_text(
      json.dumps(content))


@pytest.mark.long
def test_the_commands_work_in_order(tmp_path, monkeypatch, project_root):
  folder = tmp_path / 'work'
  _write_export(folder / 'exports' / 'cells')
  (folder / 'new_images').mkdir()
  _cells(99)[0].save(folder / 'new_images' / 'one.png')
  monkeypatch.chdir(folder)
  for language, block in doc_commands.blocks(_PAGE):
    assert language == 'bash'
    for option, module, *arguments in doc_commands.commands(
        block, folder, {'--gin_file=': _TINY}):
      assert option == '-m'
      if module == 'axial_tf.client':
        _ask(arguments, folder, project_root)
      else:
        tools.succeeds(module, *arguments)
  for made in ('cells.json', 'cells.gin', 'runs/cells/metrics.jsonl',
               'results/one_panoptic.png', 'answers/one_panoptic.png'):
    assert (folder / made).exists(), made
  same = [np.asarray(Image.open(folder / kind / 'one_panoptic.png'))
          for kind in ('results', 'answers')]
  np.testing.assert_array_equal(*same)


def _ask(arguments, folder, project_root):
  """Runs the client against what stands in for TensorFlow Serving."""
  server = subprocess.Popen(
      [sys.executable, '-m', 'tests.export.server_double',
       f'cells={folder}/models/cells/1'], cwd=project_root,
      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
  try:
    address = json.loads(server.stdout.readline())['rest']
    tools.succeeds('axial_tf.client', *(
        f'--server={address}' if argument.startswith('--server=') else argument
        for argument in arguments))
  finally:
    server.stdin.close()
    server.wait(30)
