"""Draws pictures of images, maps, heads and attention.

Numpy and Pillow only; all pictures are uint8 RGB [height, width, 3].
"""

from axial_tf.visualize.attention import attention_pictures
from axial_tf.visualize.canvas import save_png, side_by_side, stack
from axial_tf.visualize.heads import center_heatmap, offset_wheel
from axial_tf.visualize.mistakes import error_map
from axial_tf.visualize.segments import (
  legend,
  panoptic_colors,
  panoptic_overlay,
)

__all__ = (
    'attention_pictures', 'center_heatmap', 'error_map', 'legend',
    'offset_wheel', 'panoptic_colors', 'panoptic_overlay', 'save_png',
    'side_by_side', 'stack')
