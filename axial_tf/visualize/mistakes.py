"""Draws where a prediction differs from the ground truth."""

import numpy as np

from axial_tf import errors
from axial_tf.evaluation import label_maps
from axial_tf.specs import dataset_spec
from axial_tf.visualize import canvas

# Types of errors, in colors that color-blind people can distinguish.
_KINDS = (
    ('right', None),
    ('wrong category', (213, 60, 0)),
    ('wrong instance', (240, 200, 30)),
    ('nothing found', (30, 110, 230)),
    ('no ground truth', None),
)
_RIGHT, _CATEGORY, _INSTANCE, _MISSED, _VOID = range(5)


def error_map(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray,
              spec: dataset_spec.DatasetSpec) -> np.ndarray:
  """Colors wrong pixels by type of error, with a legend of shares below.

  An instance is right if its IoU with a predicted segment of the same category
  is above 0.5, as in the panoptic quality. In a crowd, only the category can
  be wrong.

  Args:
    image: uint8 RGB [height, width, 3]; shown in grey.
    truth: integers [height, width], panoptic labels.
    prediction: predicted panoptic map, of the same shape.
    spec: spec of both.

  Raises:
    errors.UserError: the sizes differ.
  """
  canvas.check_image(image)
  truth, prediction = np.asarray(truth), np.asarray(prediction)
  if not image.shape[:2] == truth.shape == prediction.shape:
    raise errors.UserError(
        f'expected image, ground truth and prediction of one size, got '
        f'{list(image.shape[:2])}, {list(truth.shape)} and '
        f'{list(prediction.shape)}')
  kinds = error_kinds(truth, prediction, spec)
  picture = np.repeat(0.6 * image.mean(-1, keepdims=True) + 60, 3, axis=-1)
  picture[kinds == _VOID] *= 0.3
  for kind, (_, color) in enumerate(_KINDS):
    if color is not None:
      at = kinds == kind
      picture[at] = 0.3 * picture[at] + 0.7 * np.float32(color)
  picture = np.round(picture).astype(np.uint8)
  return canvas.stack([picture, _legend(kinds, image.shape[1])])


def error_kinds(truth: np.ndarray, prediction: np.ndarray,
                spec: dataset_spec.DatasetSpec) -> np.ndarray:
  """Returns the type of error of each pixel, [height, width].

  0 right, 1 another category, 2 the right category in another instance, 3
  void predicted, 4 void in the ground truth.
  """
  is_void = truth == spec.void_label
  category = truth // spec.label_divisor
  is_thing = np.isin(category, spec.thing_ids)
  is_crowd = is_thing & (truth % spec.label_divisor == 0)
  same = category == prediction // spec.label_divisor
  matched = _matched(truth, prediction, spec)
  wrong_instance = same & is_thing & ~is_crowd & ~matched
  kinds = np.where(same, _RIGHT, _CATEGORY)
  kinds[wrong_instance] = _INSTANCE
  kinds[prediction == spec.void_label] = _MISSED
  kinds[is_void] = _VOID
  return kinds


def _matched(truth, prediction, spec):
  """True where two segments of one class meet and overlap by more than half.

  Void pixels count for neither segment.
  """
  overlaps = label_maps.overlaps(truth, prediction, spec)
  true, predicted, _, iou = overlaps.same_class()
  ids = overlaps.true_segments.ids
  # Where the ground truth is void, the value looked up is meaningless.
  partner = np.full(ids.size + 1, -1)
  partner[true[iou > 0.5]] = overlaps.predicted_segments.ids[
      predicted[iou > 0.5]]
  return partner[np.searchsorted(ids, truth)] == prediction


def _legend(kinds: np.ndarray, width: int) -> np.ndarray:
  counted = max(int(np.sum(kinds != _VOID)), 1)
  return canvas.swatches(
      [(f'{name} {100 * np.sum(kinds == kind) / counted:.1f} %', color)
       for kind, (name, color) in enumerate(_KINDS) if color is not None],
      width)
