"""Segments image files with Apache Beam, distributed over a cluster.

All machines must have access to the model, the images and the output folder
under the same paths, which may be remote (gs://...).
"""

import json
import os
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence

import apache_beam as beam
from apache_beam.ml.inference import base
import tensorflow as tf

from axial_tf import beam_runner, errors
from axial_tf.files import atomic_files, images, paths
from axial_tf.prediction import batching, predicted_files, predictor, results

# File of failed images and reasons, in the output folder during a pipeline.
_FAILED = '.failed.json.tmp'


class Job(NamedTuple):
  """An image to segment.

  Attributes:
    file: its path.
    stem: path of its results, without the endings.
  """

  file: str
  stem: str


class _Outcome(NamedTuple):
  job: Job
  result: Optional[results.PanopticResult]
  error: str = ''


class _Segmenter(base.ModelHandler[Job, _Outcome, predictor.Predictor]):
  """Loads the model once for all threads of a process, and runs it."""

  def __init__(self, model: str, batch_size: int, tile: Optional[int],
               overlap: Optional[int]):
    super().__init__()
    self._model = model
    self._batch_size = batch_size
    self._tile, self._overlap = tile, overlap

  def load_model(self) -> predictor.Predictor:
    return predictor.Predictor(
        self._model, tile=self._tile, overlap=self._overlap)

  def batch_elements_kwargs(self) -> Dict[str, Any]:
    return {'min_batch_size': 1, 'max_batch_size': self._batch_size}

  def run_inference(
      self, batch: Sequence[Job], model: predictor.Predictor,
      inference_args: Optional[Dict[str, Any]] = None) -> Iterable[_Outcome]:
    """Segments images; one that cannot be read yields its error instead."""
    failed: List[_Outcome] = []

    def read():
      for job in batch:
        try:
          yield job, _read(job.file, any_size=self._tile is not None)
        except errors.UserError as error:
          failed.append(_Outcome(job, None, str(error)))

    for group in batching.equal_sizes(
        read(), self._batch_size, self._tile):
      jobs = [job for job, _ in group]
      try:
        results = model.batch([image for _, image in group])
      except errors.UserError as error:
        failed.extend(
            _Outcome(job, None, f'{job.file}: {error}') for job in jobs)
      else:
        yield from map(_Outcome, jobs, results)
    yield from failed


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
  # Reports errors of the model before the pipeline.
  predictor.Predictor(model, tile=tile, overlap=overlap)
  report = os.path.join(output_dir, _FAILED)
  try:
    with beam_runner.pipeline(arguments) as pipeline:
      tf.io.gfile.makedirs(output_dir)
      _ = (pipeline
           | 'List images' >> beam.Create(list(jobs))
           | 'Spread over workers' >> beam.Reshuffle()
           | 'Segment' >> base.RunInference(
               _Segmenter(model, batch_size, tile, overlap))
           | 'Write' >> beam.FlatMap(_write, pictures)
           | 'Collect failures' >> beam.combiners.ToDict()
           | 'Report' >> beam.Map(_write_report, report))
    with tf.io.gfile.GFile(report) as file:
      return json.load(file)
  finally:
    if tf.io.gfile.exists(report):
      tf.io.gfile.remove(report)


def _read(path: str, any_size: bool):
  try:
    with tf.io.gfile.GFile(os.fsencode(path), 'rb') as file:
      return images.from_bytes(file.read(), path, any_size)
  except tf.errors.OpError as error:
    raise errors.UserError(
        f'{path}: cannot be read ({errors.first_line(error)})') from error


def _write(outcome: _Outcome, pictures: predicted_files.Pictures):
  """Writes the results; returns the file and the reason if this failed."""
  job, result, error = outcome
  if result is not None:
    try:
      predicted_files.write_segments(result, job.stem)
      predicted_files.write_pictures(pictures.draw(None, result), job.stem)
      return []
    except errors.UserError as failure:
      error = str(failure)
  return [(paths.printable(job.file), paths.printable(error))]


def _write_report(failed: Dict[str, str], path: str) -> None:
  atomic_files.write(path, json.dumps(failed).encode())
