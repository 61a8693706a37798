"""Segments image files with Apache Beam, distributed over a cluster.

All machines must have access to the model, the images and the output folder
under the same paths, which may be remote (gs://...).
"""

import os
from typing import Dict, NamedTuple, Optional, Sequence
import uuid

from apache_beam.utils import shared
import tensorflow as tf

from axial_tf import errors
from axial_tf.cluster import beam_tasks
from axial_tf.files import atomic_files, images, paths
from axial_tf.prediction import batching, predicted_files, predictor

# A task is small, so that little is repeated if a worker is lost, but their
# number is limited: Dataflow takes lists of 10 MB.
_BATCHES_PER_TASK = 8
_MAX_TASKS = 20_000


class Job(NamedTuple):
  """An image to segment.

  Attributes:
    file: its path.
    stem: path of its results, without the endings.
  """

  file: str
  stem: str


class _Segmenter:
  """Segments images on a worker, whose threads share one model.

  A model is loaded by its path when it is first needed.
  """

  def __init__(self, model: str, batch_size: int,
               pictures: predicted_files.Pictures, tile: Optional[int],
               overlap: Optional[int]):
    self._model = model
    self._batch_size = batch_size
    self._pictures = pictures
    self._tile, self._overlap = tile, overlap
    self._shared = shared.Shared()

  def load(self) -> predictor.Predictor:
    """Returns the model; raises a UserError if it cannot be read."""
    return predictor.Predictor(
        self._model, tile=self._tile, overlap=self._overlap)

  def __call__(self, jobs: Sequence[Job]) -> Dict[str, str]:
    """Writes results; returns reasons by the images that have none."""
    failed: Dict[str, str] = {}

    def fail(job, reason):
      failed[paths.printable(job.file)] = paths.printable(reason)

    def read():
      for job in jobs:
        try:
          yield job, _read(job.file, any_size=self._tile is not None)
        except errors.UserError as error:
          fail(job, str(error))

    model = self._shared.acquire(self.load)
    for group in batching.equal_sizes(read(), self._batch_size, self._tile):
      try:
        results = model.batch([image for _, image in group])
      except errors.UserError as error:
        for job, _ in group:
          fail(job, f'{job.file}: {error}')
        continue
      for (job, _), result in zip(group, results):
        try:
          predicted_files.write_segments(result, job.stem)
          predicted_files.write_pictures(
              self._pictures.draw(None, result), job.stem)
        except errors.UserError as error:
          fail(job, str(error))
    return failed


def segment_all(
    model: str, jobs: Sequence[Job], output_dir: str, *, batch_size: int,
    pictures: predicted_files.Pictures, arguments: Sequence[str],
    tile: Optional[int] = None, overlap: Optional[int] = None
) -> Dict[str, str]:
  """Writes segments, and pictures, of all images in one pipeline.

  Args:
    model: folder of an export or of a training run.
    jobs: the images.
    output_dir: folder of the results.
    batch_size: images at a time, at most.
    pictures: pictures to draw of each image; the overlay or none.
    arguments: options of Beam, '--runner=DirectRunner' for instance.
    tile: see `Predictor`.
    overlap: see `Predictor`.

  Returns:
    Reasons by the files that failed, as text.

  Raises:
    errors.UserError: the model cannot be read, or the runner does not accept
      its options.
  """
  segmenter = _Segmenter(model, batch_size, pictures, tile, overlap)
  segmenter.load()  # Reports errors of the model before the pipeline.
  size = max(batch_size * _BATCHES_PER_TASK, -(-len(jobs) // _MAX_TASKS))
  tasks = {f'{start:010d}': jobs[start:start + size]
           for start in range(0, len(jobs), size)}
  failed: Dict[str, str] = {}
  for found in beam_tasks.run(
      segmenter, tasks,
      os.path.join(output_dir, f'.{uuid.uuid4().hex}.tasks.tmp'), arguments,
      'task').values():
    failed.update(found)
  for folder in {os.path.dirname(job.stem) for job in jobs}:
    if tf.io.gfile.isdir(folder):  # Workers may have been killed.
      atomic_files.remove_unfinished(folder, ['.json', '.png'])
  return failed


def _read(path: str, any_size: bool):
  try:
    with tf.io.gfile.GFile(os.fsencode(path), 'rb') as file:
      return images.from_bytes(file.read(), path, any_size)
  except tf.errors.OpError as error:
    raise errors.UserError(
        f'{path}: cannot be read ({errors.first_line(error)})') from error
