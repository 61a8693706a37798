"""Segments image files and writes their results, here or with Apache Beam."""

import os
import sys
from typing import List, Optional, Sequence

from axial_tf import devices, errors
from axial_tf.files import earlier_results, image_files, image_reader, paths
from axial_tf.prediction import batching, predicted_files, predictor
from axial_tf.prediction.formats import result_folders
from axial_tf.specs import dataset_spec


def require_new(files: Sequence[str], output_dir: str, file_format: str,
                pictures: predicted_files.Pictures) -> None:
  """Checks that no result will replace an image.

  Args:
    files: the images.
    output_dir: folder of the results.
    file_format: 'files', or the name of an evaluator's format.
    pictures: what is drawn of each image.

  Raises:
    errors.UserError: one will, or `output_dir` is a file.
  """
  if paths.is_remote(output_dir):
    return
  if os.path.exists(output_dir) and not os.path.isdir(output_dir):
    raise errors.UserError(
        f'--output_dir: {output_dir} is a file, expected a folder')
  if file_format == 'files':
    endings = ['_panoptic.png', '.json', *(
        f'_{name}.png' for name in pictures.names)]
    stems = image_files.output_stems(files).values()
    outputs = [stem + ending for stem in stems for ending in endings]
  else:
    outputs = [os.path.join(folder, os.path.basename(file)) for file in files
               for folder in earlier_results.FOLDERS]
  earlier_results.require_new(
      files, (os.path.join(output_dir, name) for name in outputs))


def result_folder(
    file_format: str, output_dir: str, spec: dataset_spec.DatasetSpec,
    image_list: Optional[str], class_list: Optional[str]):
  """Returns the writer of an evaluator's format; None for 'files'.

  Args:
    file_format: as in `require_new`.
    output_dir: folder of the results.
    spec: categories of the model.
    image_list: path of a JSON file with the images' ids, with 'coco'.
    class_list: path of a config.json of Mapillary Vistas, with 'mapillary'.

  Raises:
    errors.UserError: a list of another format is given, or it cannot be read.
  """
  for name, given, owner in (('image_list', image_list, 'coco'),
                             ('class_list', class_list, 'mapillary')):
    if given is not None and file_format != owner:
      raise errors.UserError(
          f'--{name} belongs to --format={owner}, got --format={file_format}')
  if file_format == 'coco':
    return result_folders.CocoFolder(output_dir, spec, image_list)
  if file_format == 'cityscapes':
    return result_folders.CityscapesFolder(output_dir, spec)
  if file_format == 'mapillary':
    names = class_list and result_folders.read_class_names(class_list)
    return result_folders.MapillaryFolder(output_dir, spec, names)
  return None


def segment_here(
    model: predictor.Predictor, files: Sequence[str], output_dir: str,
    pictures: predicted_files.Pictures, folder, batch_size: int) -> List[str]:
  """Writes the results of all files; returns those that failed.

  Args:
    model: the model.
    files: the images.
    output_dir: folder of the results.
    pictures: what is drawn of each image.
    folder: writer of `result_folder`.
    batch_size: images of one size at a time.

  Raises:
    errors.UserError: the model has no such pictures, two images are one for
      the evaluator, or a result cannot be written.
  """
  pictures.check(model)
  if folder is not None:
    result_folders.require_different_ids(folder, files)
  devices.available().announce()
  stems = image_files.output_stems(files)
  with image_reader.ImageReader(files) as reader:
    for batch in batching.equal_sizes(reader, batch_size):
      try:
        results = model.batch([image for _, image in batch])
        drawn = [pictures.draw(model, result) for result in results]
      except errors.UserError as error:
        for file, _ in batch:
          reader.fail(file, errors.UserError(f'{file}: {error}'))
        continue
      for (file, _), result, picture in zip(batch, results, drawn):
        stem = os.path.join(output_dir, stems[file])
        if folder is None:
          predicted_files.write_segments(result, stem)
        else:
          folder.add(file, result.panoptic_map, {
              segment.id: segment.score for segment in result.segments})
        predicted_files.write_pictures(picture, stem)
        reader.finish()
  if folder is not None:
    folder.close()
  return reader.failed


def segment_with_beam(
    model: str, files: Sequence[str], output_dir: str,
    pictures: predicted_files.Pictures, batch_size: int,
    arguments: Sequence[str]) -> List[str]:
  """Does the same with Apache Beam, which builds the model where it runs.

  Args:
    model: path of the model.
    files: the images.
    output_dir: folder of the results.
    pictures: what is drawn of each image.
    batch_size: images of one size at a time.
    arguments: Beam's own, such as --runner=DirectRunner.

  Raises:
    errors.UserError: see `beam.segment_all`.
  """
  from axial_tf.prediction import beam  # Apache Beam is an extra.

  stems = image_files.output_stems(files)
  reasons = beam.segment_all(
      model,
      [beam.Job(file, os.path.join(output_dir, stems[file])) for file in files],
      output_dir, batch_size=batch_size, pictures=pictures,
      arguments=arguments)
  for reason in reasons.values():
    print(f'error: {" ".join(reason.split())}', file=sys.stderr)
  return list(reasons)
