"""Plans a conversion: assigns images to shards in advance.

The plan is deterministic, so that a conversion can be resumed, or distributed
over many machines.
"""

import dataclasses
import functools
import hashlib
import json
import os
import random
from typing import Any, Iterator, List, Mapping, Sequence, Tuple

from axial_tf import errors, version
from axial_tf.data.common import record_files
from data_prep.readers import splits

# Training images are shuffled across the shards, always in the same order.
_SHUFFLE_SEED = 20200817
# DeepLab2 makes 1000 shards of COCO's 118,287 training images.
_IMAGES_PER_SHARD = 128
_MAX_DEFAULT_SHARDS = 1000


@dataclasses.dataclass(frozen=True)
class Job:
  """The conversion of one split to TFRecords.

  Attributes:
    split: the images and how to encode them.
    output_dir: folder of the shards; any path that tf.io.gfile supports.
    num_shards: number of files.
    source: origin of the images, for dataset_info.json.
    options: options that affect the records, for dataset_info.json.

  Raises:
    errors.UserError: no images, or fewer than `num_shards`.
  """

  split: splits.Split
  output_dir: str
  num_shards: int
  source: Mapping[str, Any]
  options: Mapping[str, Any]

  def __post_init__(self):
    count = len(self.split.images)
    if not 1 <= self.num_shards <= count:
      raise errors.UserError(
          f'--num_shards: expected 1..{count} (the number of images), got '
          f'{self.num_shards}')

  @functools.cached_property
  def images(self) -> Sequence[Any]:
    """All images in the order of their records."""
    images = list(self.split.images)
    if self.split.is_training:
      random.Random(_SHUFFLE_SEED).shuffle(images)
    return images

  @property
  def shard_names(self) -> List[str]:
    """Names of the shards' files, in order."""
    return [record_files.shard_name(self.split.name, i, self.num_shards)
            for i in range(self.num_shards)]

  def shard_images(self, index: int) -> Sequence[Any]:
    """The images of one shard; the sizes of two shards differ by one at most.
    """
    start, end = (len(self.images) * i // self.num_shards
                  for i in (index, index + 1))
    return self.images[start:end]

  def tasks_folder(self, folder: str) -> str:
    """Returns the folder for the tasks of a cluster that makes the shards.

    Args:
      folder: folder of the shards.
    """
    return os.path.join(folder, f'.{self.split.name}.tasks.tmp')

  @functools.cached_property
  def fingerprint(self) -> str:
    """Identifies the records of this job, to recognize those made earlier.

    Covers the version, spec, options, and for each image its description and
    the size and modification time of its files.
    """
    digest = hashlib.sha256(json.dumps(
        [version.__version__, self.split.spec.to_json(), self.split.name,
         self.num_shards, dict(self.options)], sort_keys=True).encode())
    for image in self.images:
      digest.update(repr((image, *_file_states(image))).encode())
    return digest.hexdigest()


def default_num_shards(num_images: int) -> int:
  """Returns one shard per 128 images, at most 1000."""
  return min(_MAX_DEFAULT_SHARDS, max(1, num_images // _IMAGES_PER_SHARD))


def _file_states(image) -> Iterator[Tuple[int, int]]:
  """Yields size and modification time of an image's files."""
  for name, value in vars(image).items():
    if name.endswith('path') and isinstance(value, str):
      try:
        status = os.stat(value)
        yield status.st_size, status.st_mtime_ns
      except OSError:
        yield -1, -1  # Encoding it will report the problem.
