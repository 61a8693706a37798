"""Finds the COCO instance JSON and the images that annotation tools export.

  annotations/instances_{split}.json   {split}/, images/{split}/ or images/
  annotations/instances_default.json   images/                       (CVAT)
  {split}/_annotations.coco.json       the same folder               (Roboflow)
  result.json                          folders in its names    (Label Studio)
  annotations.json                     folders in its names    (labelme2coco)

Names may be those of Windows. If no image has its name, folders and all, the
last parts of the names are looked for.
"""

import pathlib
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from axial_tf import errors
from axial_tf.files import paths
from data_prep.readers import coco_annotations, listed_files, partner_files
from data_prep.readers import splits as splits_lib

# They do not say to which split their images belong.
_UNDIVIDED = ('annotations/instances_default.json', 'result.json',
              'annotations.json', '_annotations.coco.json')
_ROBOFLOW = '_annotations.coco.json'
# Roboflow's name of a split.
_ALIASES = {'val': 'valid', 'valid': 'val'}


class Annotations(NamedTuple):
  """A JSON, and where its images may be.

  Attributes:
    json_path: path of the JSON.
    image_dirs: folders to look into, in this order.
    is_undivided: whether nothing says to which split its images belong.
  """

  json_path: pathlib.Path
  image_dirs: Tuple[pathlib.Path, ...]
  is_undivided: bool


def find(input_dir: str, split: str, options: splits_lib.ReadOptions
         ) -> Annotations:
  """Finds the JSON of a split.

  Raises:
    errors.UserError: there is none or more than one.
  """
  root = partner_files.existing_folder(input_dir, 'input_dir')
  given, selection = options.paths, options.selection
  names = [split, _ALIASES[split]] if split in _ALIASES else [split]
  is_undivided = False
  if given.annotations is not None:
    json_path = partner_files.given_path(root, given.annotations)
  else:
    found = []
    if selection.val_fraction is None:
      found = _existing(root, [
          pattern for name in names for pattern in (
              f'annotations/instances_{name}.json', f'{name}/{_ROBOFLOW}')])
    if not found:
      is_undivided = True
      found = _existing(root, _UNDIVIDED)
      if selection.is_partial:
        found += [path for path in _any_split(root) if path not in found]
    json_path = _only(found, root, split)
  return Annotations(
      json_path, _image_dirs(root, json_path, names, given.image_dir),
      is_undivided)


def locate(images: Mapping[Any, Dict[str, Any]], found: Annotations
           ) -> Tuple[pathlib.Path, Dict[Any, str]]:
  """Finds the folder of the images, of which some may be missing.

  Args:
    images: entries of the JSON by their ids.
    found: where to look.

  Returns:
    The folder, and the name of each image in it, by its id.

  Raises:
    errors.UserError: none is found, or two have the same name.
  """
  full = {key: image['file_name'].replace('\\', '/')
          for key, image in images.items()}
  bare = {key: name.rpartition('/')[2] for key, name in full.items()}
  files = listed_files.Folders()
  for names in (full, bare):
    for folder in found.image_dirs:
      if any(not paths.leads_out(name) and files.has(str(folder / name))
             for name in names.values()):
        used = set()
        for name in names.values():
          coco_annotations.add_unique(used, name, found.json_path)
        return folder, names
  for name in full.values():  # Names that lead out get their own error.
    files.path(found.image_dirs[0], name, found.json_path)
  raise errors.UserError(
      f'{found.json_path}: none of its {len(images)} images, such as '
      f'{next(iter(full.values()))!r}, is in '
      f'{", ".join(str(folder) for folder in found.image_dirs)}; copy them '
      f'there, or give their folder by --image_dir=DIR')


def _existing(root: pathlib.Path, names) -> List[pathlib.Path]:
  return [root / name for name in names if (root / name).is_file()]


def _any_split(root: pathlib.Path) -> List[pathlib.Path]:
  return [*sorted((root / 'annotations').glob('instances_*.json')),
          *sorted(root.glob(f'*/{_ROBOFLOW}'))]


def _only(found: List[pathlib.Path], root: pathlib.Path, split: str
          ) -> pathlib.Path:
  if len(found) == 1:
    return found[0]
  if found:
    raise errors.UserError(
        f'{root}: has {" and ".join(str(p.relative_to(root)) for p in found)}; '
        f'choose one by --annotations=FILE.json')
  raise errors.UserError(
      f'{root}: no COCO instance JSON of split {split!r}: expected '
      f'annotations/instances_{split}.json, {split}/{_ROBOFLOW} or '
      f'{", ".join(_UNDIVIDED[:3])}; give it by --annotations=FILE.json')


def _image_dirs(root: pathlib.Path, json_path: pathlib.Path, names: List[str],
                given: Optional[str]) -> Tuple[pathlib.Path, ...]:
  if given is not None:
    return (partner_files.given_folder(root, given, 'image_dir'),)
  stem = json_path.stem
  if stem.startswith('instances_'):
    names = [*names, stem[len('instances_'):]]
  folders = [json_path.parent]
  for name in names:
    folders += [root / name, root / 'images' / name]
  folders += [root / 'images', root]
  return tuple(dict.fromkeys(f for f in folders if f.is_dir()))
