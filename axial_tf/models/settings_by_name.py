"""Looks up settings of models by name, with overrides, for gin."""

import dataclasses
from typing import Dict, Optional

from axial_tf import errors
from axial_tf.models import (
  ablations,
  backbones,
  deeplab2_models,
  panoptic_networks,
  variants,
)

ROWS: Dict[str, variants.Variant] = {
    **variants.VARIANTS, **ablations.ABLATIONS, **deeplab2_models.MODELS}


def variant_settings(variant: str, **overrides) -> backbones.BackboneSettings:
  """Returns the settings of the backbone of a row of ROWS, with overrides.

  Args:
    variant: key of ROWS.
    **overrides: fields of the backbone's settings; None keeps the variant's
      value. A global span, which is None in the settings, is span=0 here.

  Raises:
    errors.UserError: an unknown variant or field, or a value out of range.
  """
  return _replace(
      'variant_settings', _find(variant, ROWS).backbone, overrides)


def panoptic_settings(
    variant: str, **overrides) -> panoptic_networks.PanopticSettings:
  """Returns the settings of a panoptic row of ROWS, with overrides.

  Args:
    variant: key of ROWS.
    **overrides: fields of the row's settings; None keeps the variant's.

  Raises:
    errors.UserError: an unknown variant or field, or a value out of range.
  """
  rows = {name: row for name, row in ROWS.items() if row.is_panoptic}
  return _replace('panoptic_settings', _find(variant, rows).settings, overrides)


def _find(variant: Optional[str], rows: Dict[str, variants.Variant]
          ) -> variants.Variant:
  if variant not in rows:
    raise errors.UserError(
        f'variant: expected one of {", ".join(rows)}; got {variant!r}')
  return rows[variant]


def _replace(function, settings, overrides):
  known = [f.name for f in dataclasses.fields(settings)]
  unknown = sorted(set(overrides) - set(known))
  if unknown:
    raise errors.UserError(
        f'{function}: expected only {", ".join(known)}; got '
        f'{", ".join(unknown)}')
  overrides = {k: v for k, v in overrides.items() if v is not None}
  # The only place that knows of 0; everywhere else None is the whole axis.
  if overrides.get('span') == 0:
    overrides['span'] = None
  return dataclasses.replace(settings, **overrides)
