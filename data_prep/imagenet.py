"""Reads ImageNet, and any data set laid out like it.

  train/<class>/*.JPEG                                    labeled by folder
  val/<class>/*.JPEG                                      as in ImageFolder, or
  val/*.JPEG and imagenet_2012_validation_synset_labels.txt   as in ILSVRC2012,
      one class a line, in the order of the file names
  test/*.JPEG                                             without labels
  synsets.txt or LOC_synset_mapping.txt                   if there: "class name"

Without the list of synsets, the folders of train/ are the classes.
"""

import dataclasses
import functools
import os
import pathlib
import re
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from axial_tf import errors
from axial_tf import images as images_lib
from axial_tf.data import class_spec, classification_records
from data_prep import source_images, splits

_SYNSET_LISTS = ('synsets.txt', 'LOC_synset_mapping.txt')
_VALIDATION_LIST = 'imagenet_2012_validation_synset_labels.txt'
_NUMBERED = re.compile(r'_(\d+)\.[^.]+$')  # ILSVRC2012_val_00000001.JPEG


@dataclasses.dataclass(frozen=True)
class LabeledImage:
  """One image: its name to the user, its path, its class (None: unknown)."""

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
  folder = root / split
  if not folder.is_dir():
    raise errors.UserError(
        f'no images of split {split!r}: expected the folder {folder} (splits '
        f'are train, val and test)')
  spec = _read_spec(root, options.spec)
  if split == 'test':
    images = [LabeledImage(os.path.basename(p), p, None)
              for p in _files(folder, root)]
  elif _has_subfolders(folder):
    images = _by_folder(folder, root, spec)
  elif split == 'train':
    raise errors.UserError(
        f'{folder}: expected one folder per class, found none; unpack the '
        f'archive of each class into a folder of its name')
  else:
    images = _by_list(folder, root, spec)
  if not images:
    raise errors.UserError(f'{folder}: holds no images; unpack them there')
  return splits.Split(
      name=split, spec=spec, images=images,
      encode=functools.partial(encode, max_pixels=options.max_pixels),
      is_training=split == 'train')


def encode(image: LabeledImage, max_pixels: int) -> splits.Encoded:
  """Makes the record of one image: a pure function of its file.

  JPEG and PNG files are stored as they are, whatever their names say: ImageNet
  has some JPEGs in CMYK, and one PNG under the name of a JPEG.

  Raises:
    errors.UserError: the file is damaged, no picture or too large.
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


def _read_spec(root: pathlib.Path, given: Optional[str]
               ) -> class_spec.ClassSpec:
  """The classes: from the given spec, the list of synsets, or train/."""
  if given is not None:
    return class_spec.ClassSpec.load(given)
  for name in _SYNSET_LISTS:
    if (root / name).exists():
      names = _read_names(root / name)
      return class_spec.ClassSpec.from_ids('imagenet', names, names)
  if not (root / 'train').is_dir() or not _has_subfolders(root / 'train'):
    raise errors.UserError(
        f'{root}: the classes are unknown; expected {_SYNSET_LISTS[0]} (one '
        f'"class name" a line), or the folder train with one folder per class')
  return class_spec.ClassSpec.from_ids(
      'imagenet', _subfolders(root / 'train', root), {})


def _read_names(path: pathlib.Path) -> Dict[str, str]:
  """Reads lines of "n01440764 tench, Tinca tinca"; the name may be absent."""
  names = {}
  for number, line in enumerate(_lines(path), start=1):
    class_id, _, name = line.partition(' ')
    if class_id in names:
      raise errors.UserError(
          f'{path}: line {number} lists {class_id!r} again; remove one')
    names[class_id] = name.strip() or class_id
  if not names:
    raise errors.UserError(
        f'{path}: expected one "class name" a line, found none; copy it again')
  return names


def _by_folder(folder: pathlib.Path, root: pathlib.Path,
               spec: class_spec.ClassSpec) -> List[LabeledImage]:
  """Images of one folder per class, sorted by class and name."""
  found = _subfolders(folder, root)
  unknown = sorted(set(found) - set(spec.labels))
  if unknown:
    raise errors.UserError(
        f'{folder / unknown[0]}: the list of synsets has no class '
        f'{unknown[0]!r}; add it there or remove the folder')
  images = []
  for image_class in spec.classes:
    if image_class.id not in found:
      raise errors.UserError(
          f'{folder}: the class {image_class.id!r} ({image_class.name}) has no '
          f'folder; copy it, or remove the class from the list of synsets')
    files = _files(folder / image_class.id, root)
    if not files:
      raise errors.UserError(
          f'{folder / image_class.id}: holds no images; copy those of the '
          f'class {image_class.id!r} again, or remove the class')
    images += [LabeledImage(f'{image_class.id}/{os.path.basename(path)}', path,
                            image_class) for path in files]
  return images


def _by_list(folder: pathlib.Path, root: pathlib.Path,
             spec: class_spec.ClassSpec) -> List[LabeledImage]:
  """Images of a flat folder; line k of the list is the class of the k-th."""
  path = root / _VALIDATION_LIST
  if not path.exists():
    raise errors.UserError(
        f'{path}: no such file; expected the class of each image of {folder}, '
        f'one a line, or one folder per class in {folder}')
  lines, files = _lines(path), _files(folder, root)
  if len(lines) != len(files):
    raise errors.UserError(
        f'{path}: lists {len(lines)} images, but {folder} holds {len(files)}; '
        f'copy both again')
  images = []
  for number, (class_id, file) in enumerate(zip(lines, files), start=1):
    name = os.path.basename(file)
    numbered = _NUMBERED.search(name)
    if numbered and int(numbered[1]) != number:
      raise errors.UserError(
          f'{folder}: expected the image number {number}, got {name}; the '
          f'list gives classes by position, so no image may be missing')
    label = spec.labels.get(class_id)
    if label is None:
      raise errors.UserError(
          f'{path}: line {number} has the unknown synset {class_id!r}; correct '
          f'it or add the class to the list of synsets')
    images.append(LabeledImage(name, file, spec.classes[label]))
  return images


def _lines(path: pathlib.Path) -> Sequence[str]:
  """The lines of a text file, without empty ones at its end."""
  try:
    return path.read_text(encoding='utf-8').rstrip().splitlines()
  except (OSError, UnicodeDecodeError) as error:
    raise errors.UserError(
        f'{path}: not a readable text file; copy it again') from error


def _has_subfolders(folder: pathlib.Path) -> bool:
  with os.scandir(folder) as entries:
    return any(e.is_dir() and not e.name.startswith('.') for e in entries)


def _subfolders(folder: pathlib.Path, root: pathlib.Path) -> List[str]:
  return [name for name, is_folder in _entries(folder, root) if is_folder]


def _files(folder: pathlib.Path, root: pathlib.Path) -> List[str]:
  """Sorted paths of the images in a folder; others and hidden ones are not."""
  return [os.path.join(folder, name)
          for name, is_folder in _entries(folder, root)
          if not is_folder and name.lower().endswith(images_lib.ENDINGS)]


def _entries(folder: pathlib.Path, root: pathlib.Path
             ) -> Iterator[Tuple[str, bool]]:
  """Names in a folder, sorted, and which ones are folders; no hidden ones."""
  with os.scandir(folder) as scanned:
    entries = sorted(scanned, key=lambda entry: entry.name)
  for entry in entries:
    if entry.name.startswith('.'):
      continue
    if entry.is_symlink():
      _check_inside(entry.path, root)
    yield entry.name, entry.is_dir()


def _check_inside(link: str, root: pathlib.Path) -> None:
  target, top = os.path.realpath(link), os.path.realpath(root)
  if os.path.commonpath([target, top]) != top:
    raise errors.UserError(
        f'{link}: is a link out of {root}, to {target}; copy the files there')
