"""Defines the flags of own data: where files lie, splits, meaning of labels."""

from typing import Any, Dict

from absl import flags

from axial_tf import cli
from data_prep.readers import selection, splits

# They belong to the command, whose --help lists them.
flags.disclaim_key_flags()
_INSTANCES, _MASKS = ('coco_instances',), ('masks',)
_EXPORTS = _INSTANCES + _MASKS
_SELECTED = _EXPORTS + ('custom',)
# Flag -> the data sets that support it.
DATASETS = {
    'annotations': _INSTANCES,
    'image_dir': _EXPORTS,
    'semantic_dir': _EXPORTS,
    'instance_dir': _MASKS,
    'background': _INSTANCES,
    'overlap': _INSTANCES,
    'instances': _MASKS,
    'file_list': _SELECTED,
    'val_fraction': _SELECTED,
    'split_seed': _SELECTED,
    'group_by': _SELECTED,
}


def define() -> None:
  """Defines the flags."""
  cli.define_path(
      'annotations', None,
      'COCO instance JSON. Default: that of the split, or of an export.',
      any_bytes=True, local=True)
  for name, contents in (
      ('image_dir', 'the images'),
      ('semantic_dir', 'PNGs of classes, named like the images'),
      ('instance_dir', 'PNGs of instances, named like the images')):
    cli.define_path(
        name, None, f'Folder of {contents}. Relative ones may be in '
        f'--input_dir. Default: that of a known layout.', any_bytes=True,
        local=True)
  flags.DEFINE_string(
      'background', None,
      'Name of the stuff class of all pixels without annotation. Default: they '
      'are void.')
  flags.DEFINE_string(
      'overlap', splits.ReadOptions.overlap,
      'Instance on top where some overlap: the smaller (area), the later in '
      'the list (order), or the one with the larger number of this name, such '
      'as z_order.')
  flags.DEFINE_enum(
      'instances', None, ['components'],
      'components makes each connected component of a thing class an instance. '
      'Default: instance PNGs.')
  cli.define_path(
      'file_list', None, 'File with one image name per line: the images of the '
      'split.', any_bytes=True, local=True)
  flags.DEFINE_float(
      'val_fraction', None,
      'Share of all images that are --split=val; the others are --split=train.')
  flags.DEFINE_integer(
      'split_seed', selection.Selection.split_seed,
      'Seed of the division by --val_fraction.')
  flags.DEFINE_string(
      'group_by', None,
      'Regular expression whose first group, found in the name of an image, '
      'names its film or patient: --val_fraction does not divide these.')


def options(given: flags.FlagValues) -> Dict[str, Any]:
  """Returns arguments of `splits.ReadOptions`.

  Raises:
    errors.UserError: a value is not valid.
  """
  return {
      'paths': splits.DataPaths(
          given.annotations, given.image_dir, given.semantic_dir,
          given.instance_dir),
      'selection': selection.Selection(
          given.file_list, given.val_fraction, given.split_seed,
          given.group_by),
      'background': given.background,
      'overlap': given.overlap,
      'instances': given.instances}
