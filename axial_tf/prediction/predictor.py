"""Segments images with one line of Python.

  predictor = axial_tf.Predictor('export')
  result = predictor('street.jpg')
  for segment in result.segments:
    print(segment.name, segment.score, segment.box)
"""

import dataclasses
import os
import sys
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from axial_tf import errors, memory
from axial_tf.data.common import resizing
from axial_tf.files import images, model_folders
from axial_tf.inference import attention_probe, multi_scale
from axial_tf.inference.decoding import kinds
from axial_tf.keras2 import keras
from axial_tf.layers import compilation
from axial_tf.prediction import loaded_model, pixel_attention, tiles
from axial_tf.prediction.results import PanopticResult
from axial_tf.specs import dataset_spec
from axial_tf.visualize import head_pictures


@dataclasses.dataclass(frozen=True, eq=False)
class Heads:
  """Outputs of the network, at the size that it saw.

  Attributes:
    image: uint8 RGB [height, width, 3].
    maps: the heads by name, see `axial_tf.inference.decoding`. Of
      Panoptic-DeepLab, float32: 'semantic_probabilities' [height, width,
      classes], 'center_heatmap' [height, width] and 'offset' [height, width,
      2], (y, x) in pixels to the center.
    panoptic_map: int32 [height, width].
    spec: the categories.
    merging: settings of the merging; None if they are not known.
  """

  image: np.ndarray
  maps: Dict[str, np.ndarray]
  panoptic_map: np.ndarray
  spec: dataset_spec.DatasetSpec
  merging: Optional[kinds.MergingSettings] = None

  def pictures(self) -> Dict[str, np.ndarray]:
    """Draws the heads, uint8 RGB by name.

    Those of Panoptic-DeepLab are 'heatmap', the centers as heat over the image,
    and 'offsets', on things the directions to the centers as hues.
    """
    is_thing = np.isin(
        self.panoptic_map // self.spec.label_divisor, self.spec.thing_ids)
    return head_pictures.draw(
        self.image, is_thing, self.maps, self.image.shape[:2], self.merging)


class Predictor:
  """Segments images with a trained or exported model.

  Attributes:
    spec: categories of the model.
    tiling: tiles of images that are larger than one; None without tiles.
  """

  def __init__(self, path: str, *, scales: Optional[Sequence[float]] = None,
               flip: bool = False, compile: compilation.Mode = 'auto',
               tile: Optional[int] = None, overlap: Optional[int] = None):
    """Loads a model.

    Args:
      path: path of an export (the highest version is used), of one version in
        it, or of a training run's model_dir (its newest checkpoint is used).
      scales: image scales over which the network's outputs are averaged, such
        as (0.5, 1, 1.5); more accurate, and as many times slower. None for
        those of the run's configuration.
      flip: whether to also average over the mirrored image.
      compile: 'auto' compiles a training run's network with XLA on a GPU, for
        up to 4 shapes of batches that come more than 100 times; 'always' for
        the first 4, on a CPU, too; 'never' for none.
      tile: side in pixels of the square tiles in which larger images are
        segmented, one after the other; None for whole images.
      overlap: pixels that neighboring tiles share, at least as many as things
        are wide; None for a quarter of the tile.

    Raises:
      errors.UserError: there is no model, or it cannot be read; scales, flip
        or 'always' are given for an export, which has fixed ones; the tiles do
        not fit the model, or the overlap does not fit them.
    """
    self.tiling = tiles.Tiling.of(tile, overlap)
    self._path = os.fspath(path)
    settings = None
    if scales is not None or flip:
      settings = multi_scale.MultiScaleSettings(
          tuple(scales or (1.0,)), flip)
    self._model = loaded_model.load(
        self._path, model_folders.PANOPTIC, settings, compile)
    self.spec = self._model.spec
    self._of_tiles = self._model
    if self.tiling is not None:
      self._require_own_size()
      if self._model.inference is not None:
        # Stuff that is small in a tile may be large in the image.
        self._of_tiles = loaded_model.Segmenter.of_run(
            self._model.inference.without_stuff_limit(), compile)

  def __call__(self, image: images.ImageLike) -> PanopticResult:
    """Segments one image of any size.

    Args:
      image: file name, Pillow image, or uint8 array [height, width, 3] (RGB)
        or [height, width] (grey); files are rotated by their EXIF data.

    Raises:
      errors.UserError: not an image, or too large for the memory.
    """
    pixels = images.as_rgb(image, any_size=self.tiling is not None)
    name = image if isinstance(image, (str, os.PathLike)) else 'the image'
    with self._memory_error(name, pixels.shape):
      return self._segment(self._model, pixels[np.newaxis])[0] if (
          self._fits(pixels)) else self._in_tiles(pixels, False)

  def batch(self, same_size: Sequence[np.ndarray], progress: bool = False
            ) -> List[PanopticResult]:
    """Segments images of one size together.

    Args:
      same_size: uint8 RGB [height, width, 3] each.
      progress: whether to show the progress of images that take several tiles.

    Raises:
      errors.UserError: their sizes differ, or they are too large for the
        memory.
    """
    pixels = [images.as_rgb(image) for image in same_size]
    sizes = sorted({image.shape[:2] for image in pixels})
    if len(sizes) != 1:
      raise errors.UserError(
          f'expected images of one size, got {len(pixels)} with sizes '
          f'{sizes}; segment each size separately')
    with self._memory_error(
        f'{len(pixels)} images at a time', pixels[0].shape, len(pixels)):
      return self._segment(self._model, np.stack(pixels)) if (
          self._fits(pixels[0])) else [
              self._in_tiles(image, progress) for image in pixels]

  def _fits(self, pixels: np.ndarray) -> bool:
    return self.tiling is None or self.tiling.fits(*pixels.shape[:2])

  def _in_tiles(self, pixels: np.ndarray, progress: bool) -> PanopticResult:
    grid = self.tiling.grid(*pixels.shape[:2])
    mosaic = tiles.Mosaic(grid, self.spec)
    for window in tqdm(
        grid.windows(pixels), total=grid.count, unit=' tiles', leave=False,
        disable=not progress, file=sys.stderr):
      with self._memory_error('a tile', window.shape):
        mosaic.add(self._segment(self._of_tiles, window[np.newaxis])[0])
    if self._model.inference is None:  # Its limit applies within tiles.
      return mosaic.finish(pixels)
    decoding = self._model.inference.decoding
    return mosaic.finish(pixels, decoding.settings.stuff_area_limit,
                         decoding.void_stuff_at_limit)

  def _segment(self, model: loaded_model.Segmenter, pixels: np.ndarray
               ) -> List[PanopticResult]:
    outputs = {key: value.numpy() for key, value in model.predict(
        tf.constant(pixels)).items()}
    return [
        PanopticResult.from_table(
            outputs['panoptic_map'][index],
            {key: value[index] for key, value in outputs.items()}, self.spec,
            image)
        for index, image in enumerate(pixels)]

  def heads(self, result: PanopticResult) -> Heads:
    """Returns the outputs of the network for the image of a result.

    Raises:
      errors.UserError: it is too large for the memory.
    """
    shown = self._model.resized(tf.constant(result.image[np.newaxis]))
    with self._memory_error('the image', result.image.shape):
      outputs = self._model.heads(shown)
    return Heads(
        shown[0].numpy(),
        {name: value[0].numpy() for name, value in outputs.items()},
        resizing.nearest_array(result.panoptic_map, *shown.shape[1:3]),
        result.spec,
        self._model.inference and self._model.inference.decoding.settings)

  @property
  def head_pictures(self) -> Tuple[str, ...]:
    """Names of the pictures that the heads of this model have."""
    return head_pictures.names(self._model.head_names)

  def attention_layers(self) -> Dict[str, int]:
    """Returns name -> number of heads of the layers with axial attention.

    Raises:
      errors.UserError: the model is an export.
    """
    return attention_probe.layers(self._network().backbone)

  def check_attention(self, layer: Optional[str], head: Optional[int]) -> None:
    """Checks the arguments of `attention` before any image is read.

    Raises:
      errors.UserError: the model is an export, or has no such layer or head.
    """
    attention_probe.find_layer(self._network().backbone, layer, head)

  def attention(self, image: images.ImageLike, pixel: Tuple[int, int],
                layer: Optional[str] = None, head: Optional[int] = None
                ) -> np.ndarray:
    """Draws what a pixel attends to: along its column, its row, and in total.

    Args:
      image: as in `__call__`.
      pixel: (y, x) in the image.
      layer: one of `attention_layers()`; None for the last one.
      head: its number, from 0; None for the mean over the heads.

    Returns:
      uint8 RGB, see `visualize.attention_pictures`.

    Raises:
      errors.UserError: the model is an export, or there is no such pixel,
        layer or head.
    """
    self._network()
    return pixel_attention.draw(
        self._model, images.as_rgb(image), pixel, layer, head)

  def _memory_error(self, name, shape, images=1):
    ways = ['shrink it' if images == 1 else 'shrink them']
    if images > 1:
      ways.append('segment fewer at a time (--batch_size)')
    views = self._model.inference and self._model.inference.multi_scale
    if views and len(views.scales) > 1:
      ways.append(f'use fewer or smaller --scales than '
                  f'{",".join(map(str, views.scales))}')
    ways.append('segment it in tiles (--tile)' if self.tiling is None
                else 'use smaller tiles (--tile)')
    return memory.reported(lambda error: (
        f'{name}: {shape[1]}x{shape[0]} pixels do not fit into memory '
        f'({memory.describe(error)}); {", or ".join(ways)}'))

  def _require_own_size(self) -> None:
    """Raises a UserError if the model would resize tiles."""
    side, enlarges = self._model.max_long_side, self._model.enlarge
    tile = self.tiling.tile
    if side is not None and (tile > side or (enlarges and tile < side)):
      raise errors.UserError(
          f'tile: {self._path} {"resizes" if enlarges else "shrinks"} images '
          f'to a longer side of {side} pixels (max_long_side); expected tiles '
          f'of {"" if enlarges else "at most "}{side} pixels, got {tile}')

  def _network(self) -> keras.Model:
    if self._model.inference is None:
      raise errors.UserError(
          f'{self._path}: is an export, which has no layers to inspect; '
          f'give the training run\'s model_dir for attention')
    return self._model.inference.model
