"""A conversion as a plan: which image goes into which shard, known in advance.

The plan is the same wherever and however often it is carried out, so that a
conversion can be continued, or spread over many machines.
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

# Training images are shuffled across the shards once, always in the same way.
_SHUFFLE_SEED = 20200817
# DeepLab2 makes 1000 shards of COCO's 118,287 training images.
_IMAGES_PER_SHARD = 128
_MAX_DEFAULT_SHARDS = 1000


@dataclasses.dataclass(frozen=True)
class Job:
  """One split on its way to TFRecords.

  Attributes:
    split: the images and how to encode them.
    output_dir: folder of the shards; any path that tf.io.gfile knows.
    num_shards: how many files.
    source: where the images come from, for dataset_info.json.
    options: choices that change the records, for dataset_info.json.

  Raises:
    errors.UserError: no images, or `num_shards` does not fit them.
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

  @functools.cached_property
  def fingerprint(self) -> str:
    """Tells whether records made earlier are those this job would make.

    Covers the version, spec, options, and of each image its description and
    the size and time of its files.
    """
    digest = hashlib.sha256(json.dumps(
        [version.__version__, self.split.spec.to_json(), self.split.name,
         self.num_shards, dict(self.options)], sort_keys=True).encode())
    for image in self.images:
      digest.update(repr((image, *_file_states(image))).encode())
    return digest.hexdigest()


def default_num_shards(num_images: int) -> int:
  """One shard per 128 images, at most 1000."""
  return min(_MAX_DEFAULT_SHARDS, max(1, num_images // _IMAGES_PER_SHARD))


def _file_states(image) -> Iterator[Tuple[int, int]]:
  """Yields size and time of the files an image is made of."""
  for name, value in vars(image).items():
    if name.endswith('path') and isinstance(value, str):
      try:
        status = os.stat(value)
        yield status.st_size, status.st_mtime_ns
      except OSError:
        yield -1, -1  # Encoding it will tell the user what is wrong.
