"""A stopped prediction is resumed with the images that have no results."""

from PIL import Image
import pytest

from tests import color_model, tools

_MODULE = 'axial_tf.predict'


@pytest.fixture
def arguments(export_dir, tmp_path):
  for name in ('a/x.png', 'a/x.jpg', 'b/y.png', 'z.png'):
    (tmp_path / 'in' / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(color_model.scene()[0]).save(tmp_path / 'in' / name)
  return [f'--model={export_dir}', f'--input={tmp_path}/in',
          f'--output_dir={tmp_path}/out', '--skip_existing']


@pytest.mark.parametrize('more', [[], ['--beam']])
def test_only_what_is_missing(arguments, tmp_path, more):
  out = tmp_path / 'out'
  done = tools.succeeds(_MODULE, *arguments, *more)
  assert '0 of 4 images have results' in done.stdout
  made = {path: path.read_bytes() for path in out.rglob('*.*')}
  assert len(made) == 12
  # One has lost a picture, one all; of the others, nothing is touched.
  (out / 'z_overlay.png').unlink()
  for path in out.glob('a/x.png*'):
    path.unlink()
  (out / 'b' / 'y_panoptic.png').write_bytes(b'mine')
  done = tools.succeeds(_MODULE, *arguments, *more)
  assert '2 of 4 images have results' in done.stdout
  assert '2 images segmented' in done.stdout
  made[out / 'b' / 'y_panoptic.png'] = b'mine'
  assert {path: path.read_bytes() for path in out.rglob('*.*')} == made
  done = tools.succeeds(_MODULE, *arguments, *more)
  assert done.stdout == '4 of 4 images have results already\n'


def test_not_for_evaluators(arguments):
  assert 'leave --skip_existing out' in tools.refused(
      _MODULE, *arguments, '--format=coco')
