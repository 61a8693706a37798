"""Segments image files and writes results, locally or with Apache Beam."""

import os
import sys
from typing import List, NamedTuple, Optional, Sequence

from axial_tf import devices, errors, memory
from axial_tf.files import earlier_results, image_files, image_reader, paths
from axial_tf.prediction import batching, predicted_files, predictor
from axial_tf.prediction.formats import result_folders
from axial_tf.specs import dataset_spec


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

  def require_new(self, files: Sequence[str]) -> None:
    """Raises a UserError if a result would overwrite one of the images."""
    if paths.is_remote(self.folder):
      return
    if os.path.exists(self.folder) and not os.path.isdir(self.folder):
      raise errors.UserError(
          f'--output_dir: {self.folder} is a file, expected a folder')
    if self.file_format == 'files':
      endings = ['_panoptic.png', '.json', *(
          f'_{name}.png' for name in self.pictures.names)]
      stems = image_files.output_stems(files).values()
      outputs = [stem + ending for stem in stems for ending in endings]
    else:
      outputs = [os.path.join(folder, os.path.basename(file)) for file in files
                 for folder in earlier_results.FOLDERS]
    earlier_results.require_new(
        files, (os.path.join(self.folder, name) for name in outputs))

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


def segment_here(model: predictor.Predictor, files: Sequence[str],
                 results: Results, batch_size: int) -> List[str]:
  """Writes the results of all files; returns those that failed.

  Raises:
    errors.UserError: the model has no such pictures, two images have the same
      id for the evaluator, or a result cannot be written.
  """
  results.pictures.check(model)
  writer = results.writer(model.spec)
  if writer is not None:
    result_folders.require_different_ids(writer, files)
  devices.available().announce()
  stems = image_files.output_stems(files)
  tiling = model.tiling
  with image_reader.ImageReader(files, tiling is not None) as reader:

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


def segment_with_beam(model: str, files: Sequence[str], results: Results,
                      batch_size: int, arguments: Sequence[str],
                      tile: Optional[int] = None,
                      overlap: Optional[int] = None) -> List[str]:
  """Does the same with Apache Beam, whose workers load the model's path."""
  from axial_tf.prediction import beam  # Apache Beam is an extra.

  stems = image_files.output_stems(files)
  reasons = beam.segment_all(
      model, [beam.Job(file, os.path.join(results.folder, stems[file]))
              for file in files],
      results.folder, batch_size=batch_size, pictures=results.pictures,
      arguments=arguments, tile=tile, overlap=overlap)
  for reason in reasons.values():
    print(f'error: {" ".join(reason.split())}', file=sys.stderr)
  return list(reasons)
