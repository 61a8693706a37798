"""Segments a picture once, and merges its heads as often as settings change."""

import dataclasses
import functools
import time
from typing import Dict, Optional, Tuple

import numpy as np
import tensorflow as tf

from axial_tf import errors, memory
from axial_tf import settings as settings_lib
from axial_tf.app import merging_again, uploads
from axial_tf.data.common import resizing
from axial_tf.files import model_folders
from axial_tf.inference import attention_probe, multi_scale
from axial_tf.inference.decoding import center_decoding
from axial_tf.panoptic import merging_settings
from axial_tf.prediction import loaded_model, pixel_attention, predictor
from axial_tf.prediction.results import PanopticResult
from axial_tf.visualize import head_pictures

# Longer side, in pixels, up to which panels of attention are enlarged.
_PANEL = 320
# Models with other settings are shown, too, without a choice of them.
MergingSettings = merging_settings.MergingSettings


@dataclasses.dataclass(frozen=True, eq=False)
class Analysis:
  """What the network made of one picture.

  Attributes:
    upload: the picture.
    seconds: time of the network.
    heads: outputs of the network by name, with a batch axis, at the size that
      the network saw; None if there are no settings to choose.
    result: the segments in that case.
  """

  upload: uploads.Upload
  seconds: float
  heads: Optional[Dict[str, np.ndarray]] = None
  result: Optional[PanopticResult] = None

  @property
  def bytes(self) -> int:
    """Memory that keeping this takes."""
    map_bytes = self.upload.pixels.nbytes * 4 // 3  # int32, not 3 * uint8.
    return self.upload.pixels.nbytes + map_bytes + sum(
        head.nbytes for head in (self.heads or {}).values())


class Segmentation:
  """A panoptic model, ready for pictures.

  Attributes:
    spec: categories of the model.
    is_export: whether it is an export, whose views are fixed.
    views: views of an image over which it averages unless others are chosen.
    merging: its own settings of the merging; None if it is not of the kind
      whose settings can be chosen, Panoptic-DeepLab's.
    layers: number of heads of its layers with attention, by name; none of an
      export.
  """

  def __init__(self, path: str):
    """Loads a model.

    Args:
      path: path of an export or a training run, see `predictor.Predictor`.

    Raises:
      errors.UserError: there is no panoptic model, or it cannot be read.
    """
    self._model = loaded_model.load(path, model_folders.PANOPTIC)
    self.spec = self._model.spec
    self.is_export = self._model.inference is None
    if self.is_export:
      self.views, merging = _settings_of_export(path)
      self.layers = {}
    else:
      inference = self._model.inference
      self.views = inference.multi_scale
      merging = dataclasses.asdict(inference.merging)
      self.layers = _attention_layers(inference.model)
    has_centers = set(center_decoding.CenterDecoding.HEADS) <= set(
        self._model.head_names)
    self.merging = settings_lib.from_dict(
        MergingSettings, merging, 'merging') if has_centers else None
    self._merging = merging_again.MergingAgain(
        self.spec, self._model.max_long_side, self._model.enlarge)
    # Each choice of views is traced, and its trace takes memory.
    self._with_views = functools.lru_cache(maxsize=4)(self._segmenter)

  def analyze(self, upload: uploads.Upload,
              views: Optional[multi_scale.MultiScaleSettings] = None
              ) -> Analysis:
    """Runs the network on a picture.

    Args:
      upload: the picture.
      views: views to average over; None for the model's own.

    Raises:
      errors.UserError: the picture is too large for the memory, or other views
        are asked of an export.
    """
    model = self._with_views(views or self.views)
    start = time.monotonic()
    with self._memory_error(upload):
      images = tf.constant(upload.pixels[np.newaxis])
      if self.merging is None:
        result = self._result(upload, model.predict(images))
        return Analysis(upload, time.monotonic() - start, result=result)
      heads = {name: value.numpy() for name, value in model.heads(
          model.resized(images)).items()}
      return Analysis(upload, time.monotonic() - start, heads=heads)

  def merge(self, analysis: Analysis,
            settings: Optional[MergingSettings] = None) -> PanopticResult:
    """Returns the segments of a picture, without running the network.

    Args:
      analysis: what the network made of the picture.
      settings: settings of the merging; None for the model's own.

    Raises:
      errors.UserError: the picture is too large for the memory.
    """
    if analysis.heads is None:
      return analysis.result
    with self._memory_error(analysis.upload):
      return self._result(analysis.upload, self._merging(
          analysis.heads, *analysis.upload.pixels.shape[:2],
          settings or self.merging))

  def warm_up(self) -> None:
    """Makes the graphs, so that the first picture need not wait for them."""
    blank = np.zeros([65, 65, 3], np.uint8)
    self.merge(self.analyze(uploads.Upload('blank', blank)))

  @property
  def head_pictures(self) -> Tuple[str, ...]:
    """Names of the pictures that `pictures_of_heads` returns."""
    return () if self.merging is None else head_pictures.names(
        self._model.head_names)

  def pictures_of_heads(self, analysis: Analysis, result: PanopticResult
                        ) -> Dict[str, np.ndarray]:
    """Draws the heads, uint8 RGB by name, see `predictor.Heads`."""
    shown = self._model.resized(
        tf.constant(analysis.upload.pixels[np.newaxis]))
    return predictor.Heads(
        shown[0].numpy(),
        {name: head[0] for name, head in analysis.heads.items()},
        resizing.nearest_array(result.panoptic_map, *shown.shape[1:3]),
        self.spec, self.merging).pictures()

  def attention(self, analysis: Analysis, pixel: Tuple[int, int],
                layer: Optional[str] = None, head: Optional[int] = None
                ) -> np.ndarray:
    """Draws what a pixel attends to, uint8 RGB, see `pixel_attention.draw`.

    Raises:
      errors.UserError: the model is an export or has no attention, there is no
        such pixel, layer or head, or the memory does not suffice.
    """
    if self.is_export:
      raise errors.UserError(
          'attention: expected a training run, got an export, which has no '
          'layers to look into; give the model_dir of its run as --model')
    with self._memory_error(analysis.upload):
      return pixel_attention.draw(
          self._model, analysis.upload.pixels, pixel, layer, head, _PANEL)

  def _segmenter(self, views) -> loaded_model.Segmenter:
    if views == self.views:
      return self._model
    if self.is_export:
      raise errors.UserError(
          f'scales: this export has the fixed scales '
          f'{_listed(self.views.scales)}; give a training run as --model to '
          f'choose others')
    return loaded_model.Segmenter.of_run(
        self._model.inference.averaging(views))

  def _result(self, upload, outputs) -> PanopticResult:
    table = {key: value.numpy()[0] for key, value in outputs.items()}
    return PanopticResult.from_table(
        table['panoptic_map'], table, self.spec, upload.pixels)

  def _memory_error(self, upload):
    height, width = upload.pixels.shape[:2]
    return memory.reported(lambda error: (
        f'{upload.name}: {width}x{height} pixels do not fit into memory '
        f'({memory.describe(error)}); shrink it, or choose fewer or smaller '
        f'scales'))


def _settings_of_export(path: str
                        ) -> Tuple[multi_scale.MultiScaleSettings, Dict]:
  """Returns the views of an export and the settings of its merging."""
  folder = model_folders.find(path)
  content = model_folders.read_model_json(folder.path)
  with loaded_model.loading_errors(folder.path):
    rules = content['input_rules']
    return multi_scale.MultiScaleSettings(
        tuple(rules['scales']), rules['flip']), content['merging']


def _attention_layers(network) -> Dict[str, int]:
  """Returns the layers with attention; none of a network without a backbone."""
  backbone = getattr(network, 'backbone', None)
  return {} if backbone is None else attention_probe.layers(backbone)


def _listed(scales) -> str:
  return ', '.join(f'{scale:g}' for scale in scales)
