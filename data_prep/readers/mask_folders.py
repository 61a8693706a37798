"""Finds images, semantic PNGs and instance PNGs in folders.

  images/{split}/X.jpg  semantic/{split}/X.png  instances/{split}/X.png
  images/X.jpg          semantic/X.png          instances/X.png
  JPEGImages/X.jpg      SegmentationClass/X.png SegmentationObject/X.png

The last one is that of PASCAL VOC, in which ImageSets/Segmentation/{split}.txt
lists the names; CVAT lists all in default.txt, and labelme2voc has no lists.
Folders within these may differ from image to image (one per film), if they are
the same for an image and its PNGs.
"""

import collections
import dataclasses
import os
import pathlib
from typing import Dict, List, NamedTuple, Optional

from axial_tf import errors
from axial_tf.files import images as images_lib
from axial_tf.files import paths, text_files
from data_prep.readers import listed_files, partner_files
from data_prep.readers import selection as selection_lib
from data_prep.readers import splits as splits_lib

_LISTS = pathlib.PurePath('ImageSets', 'Segmentation')
# CVAT's list of all images.
_UNDIVIDED = 'default.txt'


@dataclasses.dataclass(frozen=True)
class MaskImage:
  """One image and its label images.

  Attributes:
    filename: name of the image in its folder.
    image_path: path of the image.
    semantic_path: path of its PNG of classes.
    instance_path: path of its PNG of instances; None without them.
  """

  filename: str
  image_path: str
  semantic_path: str
  instance_path: Optional[str]


class Layout(NamedTuple):
  """Folders of a split.

  Attributes:
    image_dir: folder of images.
    semantic_dir: folder of PNGs of classes.
    instance_dir: folder of PNGs of instances; None without them.
    lists: files that list the names, without endings; empty if the split has
      all images in its folder.
    is_undivided: whether nothing says to which split the images belong.
  """

  image_dir: pathlib.Path
  semantic_dir: pathlib.Path
  instance_dir: Optional[pathlib.Path]
  lists: List[pathlib.Path]
  is_undivided: bool


def find(input_dir: str, split: str, options: splits_lib.ReadOptions
         ) -> Layout:
  """Finds the folders of a split.

  Raises:
    errors.UserError: there are none, or a given one does not exist.
  """
  root = partner_files.existing_folder(input_dir, 'input_dir')
  given = options.paths
  if given.image_dir is not None or given.semantic_dir is not None:
    layout = Layout(
        _given(root, given, 'image_dir'), _given(root, given, 'semantic_dir'),
        None, [], True)
  elif (root / 'JPEGImages').is_dir():
    layout = _voc(root, split, options.selection)
  else:
    layout = _plain(root, split, options.selection)
  if options.instances == 'components':
    return layout._replace(instance_dir=None)
  if given.instance_dir is not None:
    return layout._replace(instance_dir=_given(root, given, 'instance_dir'))
  return layout


def images(layout: Layout) -> List[MaskImage]:
  """Returns the images of a layout, sorted by name or in the order of lists.

  Their PNGs may be missing, see `listed_files.require_present`.

  Raises:
    errors.UserError: there are no images, two have the same name but for the
      ending, or a list names one twice or outside the folder.
  """
  files = listed_files.Folders()
  by_stem = _by_stem(layout.image_dir)
  stems = list(by_stem)
  lister = layout.image_dir
  if layout.lists:
    stems = _listed(layout.lists)
    lister = layout.lists[0]
  if not stems:
    raise errors.UserError(f'{lister}: holds no images; nothing to do')
  result = []
  for stem in stems:
    name = by_stem.get(stem, f'{stem}.jpg')

    def png(folder, stem=stem):
      return folder and files.path(folder, f'{stem}.png', lister)

    result.append(MaskImage(
        name, files.path(layout.image_dir, name, lister),
        png(layout.semantic_dir), png(layout.instance_dir)))
  return result


def _given(root: pathlib.Path, given: splits_lib.DataPaths, name: str
           ) -> pathlib.Path:
  path = getattr(given, name)
  if path is None:
    raise errors.UserError(
        f'--{name}=DIR is required with --image_dir or --semantic_dir; add it')
  return partner_files.given_folder(root, path, name)


def _voc(root: pathlib.Path, split: str, selection: selection_lib.Selection
         ) -> Layout:
  # Old versions of labelme2voc keep arrays where the PNGs are now.
  semantic, instances = (
      next((root / name for name in (f'{kind}PNG', kind)
            if (root / name).is_dir()), None)
      for kind in ('SegmentationClass', 'SegmentationObject'))
  if semantic is None:
    raise errors.UserError(
        f'{root}: has JPEGImages; expected SegmentationClass next to it, found '
        f'none; export the masks, too')
  lists = sorted((root / _LISTS).glob('*.txt'))
  own, undivided = root / _LISTS / f'{split}.txt', root / _LISTS / _UNDIVIDED
  is_divided = selection.val_fraction is None and own in lists
  if is_divided:
    lists = [own]
  elif lists and not selection.is_partial:
    if undivided not in lists:
      raise errors.UserError(
          f'{own}: no such file; expected a list of the split {split!r} (there '
          f'are {", ".join(path.stem for path in lists)})')
    lists = [undivided]
  return Layout(
      root / 'JPEGImages', semantic, instances, lists, not is_divided)


def _plain(root: pathlib.Path, split: str, selection: selection_lib.Selection
           ) -> Layout:
  top = root / 'images'
  inner = split
  if selection.val_fraction is not None or not (top / split).is_dir():
    inner = ''
    if not (top.is_dir() and (selection.is_partial or _has_images(top))):
      raise errors.UserError(
          f'no images of split {split!r}: expected {top / split}, images in '
          f'{top}, or {root / "JPEGImages"}; give their folder by '
          f'--image_dir=DIR')
  semantic, instances = (root / name / inner
                         for name in ('semantic', 'instances'))
  if not semantic.is_dir():
    raise errors.UserError(
        f'no semantic PNGs: expected the folder {semantic}; give it by '
        f'--semantic_dir=DIR, with --image_dir=DIR')
  return Layout(
      top / inner, semantic, instances if instances.is_dir() else None, [],
      not inner)


def _has_images(folder: pathlib.Path) -> bool:
  return any(path.suffix.lower() in images_lib.ENDINGS
             for path in folder.glob('*'))


def _by_stem(folder: pathlib.Path) -> Dict[str, str]:
  """Returns the names of images below a folder by names without endings."""
  result: Dict[str, str] = {}
  for path in sorted(paths.walk(str(folder))):
    name = os.path.relpath(path, folder)
    stem, ending = os.path.splitext(name)
    if (ending.lower() not in images_lib.ENDINGS
        or os.path.basename(name).startswith('.')):
      continue
    if stem in result:
      raise errors.UserError(
          f'{path}: has the name of {result[stem]}; each image may exist only '
          f'once, remove one')
    result[stem] = name
  return result


def _listed(lists: List[pathlib.Path]) -> List[str]:
  """Returns the names in lists; only within one of them they are unique."""
  result: Dict[str, None] = {}
  for path in lists:
    names = [name for name in text_files.lines(path, 'a list of image names')
             if name]
    double = next((n for n, k in collections.Counter(names).items() if k > 1),
                  None)
    if double is not None:
      raise errors.UserError(
          f'{path}: lists {double!r:.200} twice; remove one')
    result.update(dict.fromkeys(names))
  return list(result)
