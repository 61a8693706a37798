"""The made-up tiles of a large image join to all of its things."""

import pytest

from benchmarks import large_images


@pytest.mark.parametrize('side, areas', [
    (400, [28 * 28] * 100),
    # 27 rows and columns of the last squares are in the image.
    (433, [28 * 28] * 100 + [27 * 28] * 20 + [27 * 27])])
def test_no_thing_is_lost_or_cut(tmp_path, side, areas):
  result = large_images.segment(side, 100, 50, str(tmp_path), True)
  assert [segment.area for segment in result.segments
          if segment.is_thing] == areas
  assert sorted(path.name for path in tmp_path.iterdir()) == [
      'large.json', 'large_overlay.png', 'large_panoptic.png']
