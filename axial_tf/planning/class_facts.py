"""Measures a data set of image classification."""

import collections
import dataclasses
from typing import Tuple

import tensorflow as tf

from axial_tf.data.classification import records
from axial_tf.files import image_decoding
from axial_tf.planning import image_facts, record_folder, symmetry

# Images that are measured: some hundred of each of ten classes.
SAMPLE = 3000


@dataclasses.dataclass(frozen=True)
class ClassDataFacts:
  """A classification data set.

  Attributes:
    num_train, num_validation: numbers of images.
    class_images: number of training images of each class.
    images: facts of the sampled images.
    looks: symmetry of the images of a class.
  """

  num_train: int
  num_validation: int
  class_images: Tuple[int, ...]
  images: image_facts.ImageFacts
  looks: symmetry.Symmetry


def measure(folder: record_folder.RecordFolder) -> ClassDataFacts:
  """Measures a sample of the training images.

  Raises:
    errors.UserError: a record cannot be read, or nothing can be learned from
      the images.
  """
  collector = image_facts.ImageCollector()
  looks = collections.defaultdict(list)
  for image, label in record_folder.sample(folder, SAMPLE, _decode):
    looks[int(label)].append(symmetry.grid(
        symmetry.squeezed(collector.add(image.numpy()))))
  images = collector.facts()
  image_facts.require_detail(images, folder.path)
  return ClassDataFacts(
      folder.num_train, folder.num_validation, folder.class_images, images,
      symmetry.of_kinds(list(looks.values())))


def _decode(serialized: tf.Tensor):
  example = records.parse_classification_example(serialized)
  return image_decoding.decode(example['encoded']), example['label']
