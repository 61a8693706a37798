import numpy as np
import pytest

from axial_tf.panoptic.ssap import windows


def test_channels_are_in_the_order_of_rows():
  offsets = windows.offsets(5)
  assert [12 + dx + 5 * dy for dy, dx in offsets] == list(range(25))
  assert offsets[12] == (0, 0)
  assert windows.forward_offsets(5) == offsets[13:]


@pytest.mark.parametrize('window', [3, 5, 7])
def test_each_pair_has_one_edge(window):
  offsets = windows.offsets(window)
  last = windows.channels(window) - 1
  for channel, (dy, dx) in enumerate(offsets):
    assert offsets[last - channel] == (-dy, -dx)
  forward = set(windows.forward_offsets(window))
  backward = {(-dy, -dx) for dy, dx in forward}
  assert not forward & backward
  assert forward | backward == set(offsets) - {(0, 0)}


@pytest.mark.parametrize('window', [3, 5, 7])
def test_mirrored_channels_look_the_other_way(window):
  offsets = np.array(windows.offsets(window))
  order = list(windows.mirrored(window))
  np.testing.assert_array_equal(offsets[order], offsets * [1, -1])
