"""Makes shards with Apache Beam, distributed over a cluster.

The records equal those of `local_conversion` byte by byte. All machines need
the data set under the same paths, and the output folder through tf.io.gfile.
"""

import os
import pickle
from typing import Sequence

import apache_beam as beam
import tensorflow as tf

from axial_tf import beam_runner, errors
from axial_tf.files import atomic_files
from data_prep.engine import faults, jobs, outcomes, shards


def make_shards(job: jobs.Job, folder: str, indices: Sequence[int],
                collected: faults.Faults, arguments: Sequence[str]) -> None:
  """Makes the shards with these indices in one pipeline.

  Args:
    job: the conversion.
    folder: existing folder to which all workers can write.
    indices: indices of the shards.
    collected: collector of faulty images, which may end the conversion.
    arguments: options of Beam, '--runner=DirectRunner' for instance.

  Raises:
    errors.UserError: too many faulty images, the folder cannot be written, or
      the runner does not accept its options.
  """
  plans = [os.path.join(folder, f'.{job.shard_names[i]}.plan.tmp')
           for i in indices]
  try:
    # In files, since runners limit the size of a pipeline (Dataflow: 10 MB).
    for index, path in zip(indices, plans):
      atomic_files.write(path, pickle.dumps(
          (job.shard_names[index], job.shard_images(index))))
    with beam_runner.pipeline(arguments) as pipeline:
      _ = (pipeline
           | 'List shards' >> beam.Create(plans)
           | 'Spread over workers' >> beam.Reshuffle()
           | 'Make shards' >> beam.Map(
               _make_shard, folder, job.fingerprint, job.split.encode,
               collected.limit))
  finally:
    for path in plans:
      if tf.io.gfile.exists(path):
        tf.io.gfile.remove(path)
  reports = [shards.read_report(folder, job.shard_names[i]) for i in indices]
  failed = [r for r in reports if r is not None and r.error]
  for report in failed:
    tf.io.gfile.remove(shards.report_path(folder, report.name))
  if failed:
    raise errors.UserError(failed[0].error)
  for report in reports:
    if report is not None:
      collected.extend(report.skipped)


def _make_shard(plan: str, folder: str, job: str, encode, limit: int) -> None:
  """Makes one shard; writes a report of an error instead of failing.

  A runner would retry a failed shard, and hide the reason in a traceback.
  """
  with tf.io.gfile.GFile(plan, 'rb') as file:
    name, images = pickle.loads(file.read())
  try:
    shards.write(
        folder, name, job,
        (outcomes.of_image(encode, image) for image in images),
        faults.Faults(limit))
  except errors.UserError as error:
    shards.write_report(folder, shards.Report(name, job, error=str(error)))
