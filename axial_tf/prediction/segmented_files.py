"""Segments image files and writes results, locally or with Apache Beam."""

import itertools
import os
import sys
from typing import List, Mapping, NamedTuple, Optional, Sequence

import tensorflow as tf

from axial_tf import devices, errors, memory
from axial_tf.files import earlier_results, image_reader, paths
from axial_tf.prediction import batching, predicted_files, predictor
from axial_tf.prediction.formats import result_folders
from axial_tf.specs import dataset_spec

# Images, with the paths of their results in the folder, without the endings:
# `image_files.output_stems`, or a part of it.
Stems = Mapping[str, str]


class Results(NamedTuple):
  """Location and format of the results of images.

  Attributes:
    folder: folder of the results.
    pictures: pictures to draw of each image.
    file_format: 'files' for each image, or the name of an evaluator's format.
    image_list: path of a JSON file with the images' ids, with 'coco'.
    class_list: path of a config.json of Mapillary Vistas, with 'mapillary'.
  """

  folder: str
  pictures: predicted_files.Pictures
  file_format: str = 'files'
  image_list: Optional[str] = None
  class_list: Optional[str] = None

  def require_new(self, stems: Stems) -> None:
    """Raises a UserError if a result would overwrite one of the images."""
    if paths.is_remote(self.folder):
      return
    if os.path.exists(self.folder) and not os.path.isdir(self.folder):
      raise errors.UserError(
          f'--output_dir: {self.folder} is a file, expected a folder')
    if self.file_format == 'files':
      outputs = itertools.chain.from_iterable(
          map(self._files, stems.values()))
    else:
      outputs = (
          os.path.join(self.folder, folder, os.path.basename(file))
          for file in stems for folder in earlier_results.FOLDERS)
    earlier_results.require_new(list(stems), outputs)

  def missing(self, stems: Stems) -> Stems:
    """Returns the images some of whose own files do not exist."""
    existing = {
        os.path.join(folder, name)
        for folder in {os.path.dirname(os.path.join(self.folder, stem))
                       for stem in stems.values()}
        if tf.io.gfile.isdir(folder) for name in paths.listdir(folder)}
    return {file: stem for file, stem in stems.items()
            if not existing.issuperset(self._files(stem))}

  def _files(self, stem: str) -> List[str]:
    """Returns the paths of an image's own results."""
    endings = ['_panoptic.png', '.json', *(
        f'_{name}.png' for name in self.pictures.names)]
    return [os.path.join(self.folder, stem + ending) for ending in endings]

  def writer(self, spec: dataset_spec.DatasetSpec):
    """Returns the writer of an evaluator's format; None for 'files'.

    Raises:
      errors.UserError: a list for another format is given, or cannot be read.
    """
    for name, given, owner in (('image_list', self.image_list, 'coco'),
                               ('class_list', self.class_list, 'mapillary')):
      if given is not None and self.file_format != owner:
        raise errors.UserError(
            f'--{name} belongs to --format={owner}, got --format='
            f'{self.file_format}')
    if self.file_format == 'coco':
      return result_folders.CocoFolder(self.folder, spec, self.image_list)
    if self.file_format == 'cityscapes':
      return result_folders.CityscapesFolder(self.folder, spec)
    if self.file_format == 'mapillary':
      names = self.class_list and result_folders.read_class_names(
          self.class_list)
      return result_folders.MapillaryFolder(self.folder, spec, names)
    return None


def segment_here(model: predictor.Predictor, stems: Stems, results: Results,
                 batch_size: int) -> List[str]:
  """Writes the results of all images; returns those that failed.

  Raises:
    errors.UserError: the model has no such pictures, two images have the same
      id for the evaluator, or a result cannot be written.
  """
  results.pictures.check(model)
  writer = results.writer(model.spec)
  if writer is not None:
    result_folders.require_different_ids(writer, list(stems))
  devices.available().announce()
  tiling = model.tiling
  with image_reader.ImageReader(list(stems), tiling is not None) as reader:

    def segment(batch):
      try:
        found = model.batch([image for _, image in batch], progress=True)
        with _memory_error():
          drawn = [results.pictures.draw(model, result) for result in found]
      except errors.UserError as error:
        for file, _ in batch:
          reader.fail(file, errors.UserError(f'{file}: {error}'))
        return
      for (file, _), result, picture in zip(batch, found, drawn):
        stem = os.path.join(results.folder, stems[file])
        with _memory_error(f'{file}: '):
          if writer is None:
            predicted_files.write_segments(result, stem)
          else:
            writer.add(file, result)
          predicted_files.write_pictures(picture, stem)
        reader.finish()

    for batch in batching.equal_sizes(
        reader, batch_size, tiling and tiling.tile):
      segment(batch)
  if writer is not None:
    writer.close()
  return reader.failed


def _memory_error(name: str = ''):
  return memory.reported(lambda error: (
      f'{name}its results do not fit into memory ({memory.describe(error)}); '
      f'shrink it, split it, or leave out pictures (--pictures=)'))


def segment_with_beam(model: str, stems: Stems, results: Results,
                      batch_size: int, arguments: Sequence[str],
                      tile: Optional[int] = None,
                      overlap: Optional[int] = None) -> List[str]:
  """Does the same with Apache Beam, whose workers load the model's path."""
  from axial_tf.prediction import beam  # Apache Beam is an extra.

  reasons = beam.segment_all(
      model, [beam.Job(file, os.path.join(results.folder, stem))
              for file, stem in stems.items()],
      results.folder, batch_size=batch_size, pictures=results.pictures,
      arguments=arguments, tile=tile, overlap=overlap)
  for reason in reasons.values():
    print(f'error: {" ".join(reason.split())}', file=sys.stderr)
  return list(reasons)
