"""Reads ImageNet, and any data set with the same layout.

  train/<class>/*.JPEG, train/<class>/images/*.JPEG   labeled by folder
  val/<class>/*.JPEG                                  as in ImageFolder, or
  val/*.JPEG, val/images/*.JPEG      with a list of classes: `imagenet_labels`
  test/*.JPEG, test/images/*.JPEG                     without labels

These folders may be in ILSVRC/Data/CLS-LOC, as in Kaggle's archive. The classes
are those of a list of synsets or the folders of train/: `imagenet_classes`.
"""

import dataclasses
import functools
import os
import pathlib
from typing import Iterator, List, Optional, Sequence, Tuple

from axial_tf import errors
from axial_tf.data.classification import records as classification_records
from axial_tf.files import images as images_lib
from axial_tf.files import paths
from axial_tf.specs import class_spec
from data_prep.readers import (
  imagenet_classes,
  imagenet_labels,
  source_images,
  splits,
)

# Folders of train/ and val/, which are deeper in Kaggle's archive.
_INNER = ('', 'ILSVRC/Data/CLS-LOC', 'Data/CLS-LOC', 'CLS-LOC')


@dataclasses.dataclass(frozen=True)
class LabeledImage:
  """One image: its name in messages, path and class (None: unknown)."""

  filename: str
  path: str
  image_class: Optional[class_spec.ImageClass]


def read_split(input_dir: str, split: str,
               options: splits.ReadOptions) -> splits.Split:
  """Lists the images of 'train', 'val' or 'test' with their classes.

  Raises:
    errors.UserError: the folder has another layout; the classes of the
      folders, the list of synsets and the validation list do not agree; a
      class has no images.
  """
  root = pathlib.Path(input_dir)
  if not root.is_dir():
    raise errors.UserError(
        f'--input_dir={input_dir}: expected a folder, found none')
  if options.max_long_side is not None or options.crowds != 'keep':
    raise errors.UserError(
        '--max_long_side and --crowds belong to panoptic data sets; leave '
        'them out for imagenet')
  top = next((root / inner for inner in _INNER if (root / inner / split
                                                   ).is_dir()), root)
  folder = top / split
  if not folder.is_dir():
    raise errors.UserError(
        f'no images of split {split!r}: expected the folder {folder} (splits '
        f'are train, val and test)')
  places = _places(root, top)
  train = top / 'train'
  spec = imagenet_classes.read_spec(
      places, _subfolders(train) if train.is_dir() else [], options)
  if split == 'test':
    images = [LabeledImage(os.path.basename(p), p, None)
              for p in _class_files(folder)]
  elif _has_subfolders(folder) and not imagenet_labels.is_tiny(folder):
    images = _by_folder(folder, spec, is_part=options.classes is not None)
  elif split == 'train':
    raise errors.UserError(
        f'{folder}: expected one folder per class, found none; unpack the '
        f'archive of each class into a folder with its name')
  else:
    images = _by_list(
        folder, places, spec, is_part=options.classes is not None)
  if not images:
    raise errors.UserError(f'{folder}: holds no images; unpack them there')
  return splits.Split(
      name=split, spec=spec, images=images,
      encode=functools.partial(encode, max_pixels=options.max_pixels),
      is_training=split == 'train')


def encode(image: LabeledImage, max_pixels: int) -> splits.Encoded:
  """Makes the record of one image: a pure function of its file.

  JPEG and PNG files are stored unchanged, whatever their names say: ImageNet
  has some JPEGs in CMYK, and one PNG that is named like a JPEG.

  Raises:
    errors.UserError: the file is damaged, not an image or too large.
  """
  picture = source_images.read_for_record(
      image.path, max_pixels, is_turned_later=True)
  serialized = classification_records.encode_classification_example(
      picture.content, picture.image_format, image.filename,
      picture.image.height, picture.image.width, image.image_class)
  counts = {}
  if image.image_class is not None:
    counts = {'images': {image.image_class.label: 1}}
  return splits.Encoded(serialized, counts)


def _places(root: pathlib.Path, top: pathlib.Path) -> List[pathlib.Path]:
  """Returns folders that may contain lists: Kaggle's are further up."""
  places = list(dict.fromkeys([root, top]))
  above = pathlib.Path(os.path.abspath(root))
  while above.name in ('CLS-LOC', 'Data', 'ILSVRC'):
    above = above.parent
    places.append(above)
  return places


def _by_folder(folder: pathlib.Path, spec: class_spec.ClassSpec, is_part: bool
               ) -> List[LabeledImage]:
  """Lists the images of one folder per class, sorted by class and name.

  Args:
    folder: folder of the split.
    spec: spec of the classes.
    is_part: whether folders of other classes are skipped, not rejected.
  """
  found = _subfolders(folder)
  unknown = sorted(set(found) - set(spec.labels))
  if unknown and not is_part:
    raise errors.UserError(
        f'{folder / unknown[0]}: the list of synsets has no class '
        f'{unknown[0]!r}; add it there, remove the folder, or list the classes '
        f'to use in a file for --classes')
  images, empty = [], []
  for image_class in spec.classes:
    files = (_class_files(folder / image_class.id)
             if image_class.id in found else [])
    if not files:
      empty.append(image_class)
    images += [LabeledImage(f'{image_class.id}/{os.path.basename(path)}', path,
                            image_class) for path in files]
  if empty:
    raise errors.UserError(
        f'{folder}: {len(empty)} of {spec.num_classes} classes have no folder '
        f'with images, first: {empty[0].id!r} ({empty[0].name}); copy them '
        f'again, or list the classes to use in a file for --classes')
  return images


def _by_list(folder: pathlib.Path, places: Sequence[pathlib.Path],
             spec: class_spec.ClassSpec, is_part: bool) -> List[LabeledImage]:
  """Lists images of a flat folder, with classes from a list."""
  files = _class_files(folder)
  if not files:
    return []
  inner = pathlib.Path(files[0]).parent  # Tiny ImageNet: val/images.
  images = []
  for name, class_id, where in imagenet_labels.read(
      folder, [os.path.basename(path) for path in files], places):
    label = spec.labels.get(class_id)
    if label is None and is_part:
      continue
    if label is None:
      raise errors.UserError(
          f'{where} has the unknown synset {class_id!r}; correct it or add the '
          f'class to the list of synsets')
    images.append(LabeledImage(
        name, os.path.join(inner, name), spec.classes[label]))
  return images


def _has_subfolders(folder: pathlib.Path) -> bool:
  with os.scandir(folder) as entries:
    return any(e.is_dir() and not e.name.startswith('.') for e in entries)


def _subfolders(folder: pathlib.Path) -> List[str]:
  names = []
  for name, is_folder in _entries(folder):
    if is_folder:
      names.append(paths.require_utf8(name))  # It names a class.
    elif os.path.islink(folder / name) and not os.path.exists(folder / name):
      raise errors.UserError(
          f'{folder / name}: is a link to {os.readlink(folder / name)}, which '
          f'does not exist; make that available, or remove the link')
  return names


def _class_files(folder: pathlib.Path) -> List[str]:
  """Paths of the images in a folder or, as in Tiny ImageNet, in its images/."""
  files = _files(folder)
  if not files and (folder / 'images').is_dir():
    return _files(folder / 'images')
  return files


def _files(folder: pathlib.Path) -> List[str]:
  """Returns the sorted paths of the images in a folder, except hidden ones."""
  return [os.path.join(folder, name)
          for name, is_folder in _entries(folder)
          if not is_folder and name.lower().endswith(images_lib.ENDINGS)]


def _entries(folder: pathlib.Path) -> Iterator[Tuple[str, bool]]:
  """Yields sorted names in a folder, if not hidden, and which are folders."""
  with os.scandir(folder) as scanned:
    entries = sorted(scanned, key=lambda entry: entry.name)
  for entry in entries:
    if not entry.name.startswith('.'):
      yield entry.name, entry.is_dir()
