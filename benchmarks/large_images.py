"""Joins the tiles of a made-up large image: things, seconds, peak of memory.

The image has a square of 28 pixels in each field of 40. Its tiles come as the
network would segment them, but without one: measured is what `predict --tile`
does around it, from the pixels to the files of the result.

  python benchmarks/large_images.py --side=12000
  python benchmarks/large_images.py --side=12000 --overlay
"""

import pathlib
import sys
import tempfile
import time

from absl import flags
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli
from axial_tf.prediction import predicted_files, results, tiles
from axial_tf.specs import dataset_spec
from benchmarks import measure

_SIDE = flags.DEFINE_integer(
    'side', 12000, 'height and width of the image in pixels.', lower_bound=2)
_TILE = flags.DEFINE_integer('tile', 1024, 'side of the tiles in pixels.')
_OVERLAP = flags.DEFINE_integer('overlap', 256, 'pixels that tiles share.')
_OVERLAY = flags.DEFINE_bool('overlay', False, 'whether to draw the overlay.')

_FIELD, _FIRST, _END = 40, 6, 34  # pixels of a field; those of its square
_SPEC = dataset_spec.DatasetSpec('squares', (
    dataset_spec.Category(1, 0, 'ground', False, (90, 90, 90)),
    dataset_spec.Category(2, 1, 'square', True, (230, 60, 60))),
    label_divisor=4096, ignore_label=255)


def segment(side: int, tile: int, overlap: int, folder: str, overlay: bool
            ) -> results.PanopticResult:
  """Joins the tiles of the image, and writes the files of the result."""
  inside = _in_square(np.arange(side))
  image = np.zeros([side, side, 3], np.uint8)
  image[..., 0] = 255 * (inside[:, np.newaxis] & inside)
  grid = tiles.Tiling.of(tile, overlap).grid(side, side)
  mosaic = tiles.Mosaic(grid, _SPEC)
  for row in grid.rows:
    for column in grid.columns:
      mosaic.add(_of_tile(row, column))
  result = mosaic.finish(image)
  stem = str(pathlib.Path(folder) / 'large')
  predicted_files.write_segments(result, stem)
  if overlay:
    predicted_files.write_pictures({'overlay': result.picture}, stem)
  return result


def _in_square(pixels: np.ndarray) -> np.ndarray:
  place = pixels % _FIELD
  return (place >= _FIRST) & (place < _END)


def _of_tile(row: tiles.Span, column: tiles.Span) -> results.PanopticResult:
  """Returns what a perfect network would find in a tile."""
  y, x = (np.arange(span.start, span.stop) for span in (row, column))
  fields = (y // _FIELD - y[0] // _FIELD)[:, np.newaxis] * (
      len(x) // _FIELD + 2) + x // _FIELD - x[0] // _FIELD
  panoptic_map = np.where(
      _in_square(y)[:, np.newaxis] & _in_square(x),
      _SPEC.label_divisor + 1 + fields, 0).astype(np.int32)
  labels = np.unique(panoptic_map).tolist()
  return results.PanopticResult.from_map(
      panoptic_map, _SPEC, dict.fromkeys(labels, 1.0))


def main() -> None:
  found = 0

  def run():
    nonlocal found
    with tempfile.TemporaryDirectory() as folder:
      result = segment(_SIDE.value, _TILE.value, _OVERLAP.value, folder,
                       _OVERLAY.value)
    found = sum(segment.is_thing for segment in result.segments)

  start = time.monotonic()
  peak = measure.peak_memory(run)
  side, rest = divmod(_SIDE.value, _FIELD)
  print(f'{_SIDE.value}x{_SIDE.value} pixels: {found} of '
        f'{(side + (rest > _FIRST)) ** 2} things, '
        f'{time.monotonic() - start:.0f} s, {peak / 1000:.2f} GB')


if __name__ == '__main__':
  cli.run(main, __doc__)
