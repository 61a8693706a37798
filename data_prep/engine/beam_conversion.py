"""Makes shards with Apache Beam, distributed over a cluster.

The records equal those of `local_conversion` byte by byte. All machines need
the data set under the same paths, and the output folder through tf.io.gfile.
"""

import functools
from typing import Any, NamedTuple, Sequence

from axial_tf.cluster import beam_tasks
from data_prep.engine import faults, jobs, outcomes, shards


class _Shard(NamedTuple):
  name: str
  images: Sequence[Any]


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
      as `beam_tasks.run`.
  """
  names = [job.shard_names[i] for i in indices]
  beam_tasks.run(
      functools.partial(_make_shard, folder, job.fingerprint, job.split.encode,
                        collected.limit),
      {name: _Shard(name, job.shard_images(i))
       for i, name in zip(indices, names)},
      job.tasks_folder(folder), arguments, 'shard')
  for name in names:
    report = shards.read_report(folder, name)
    if report is not None:
      collected.extend(report.skipped)


def _make_shard(folder: str, job: str, encode, limit: int, shard: _Shard
                ) -> None:
  shards.write(folder, shard.name, job,
               (outcomes.of_image(encode, image) for image in shard.images),
               faults.Faults(limit))
