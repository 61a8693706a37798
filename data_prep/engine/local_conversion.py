"""Makes shards on this machine: processes encode, this one writes."""

import contextlib
import functools
import itertools
from typing import Optional, Sequence

import tqdm

from data_prep.engine import faults, jobs, outcomes, shards, workers


def make_shards(job: jobs.Job, folder: str, indices: Sequence[int],
                collected: faults.Faults, processes: Optional[int] = None
                ) -> None:
  """Makes the shards with these indices, one after another.

  Args:
    job: the conversion.
    folder: existing folder of the shards.
    indices: indices of the shards.
    collected: collector of faulty images, which may end the conversion.
    processes: number of processes that encode images; None for one per core,
      but only this one where others would start longer than they save.

  Raises:
    errors.UserError: too many faulty images, the folder cannot be written, or
      a process died.
  """
  todo = sum(len(job.shard_images(i)) for i in indices)
  encode = functools.partial(outcomes.of_image, job.split.encode)
  images = itertools.chain.from_iterable(map(job.shard_images, indices))
  results = (
      workers.quickest_map(encode, images, todo) if processes is None
      else workers.ordered_map(encode, images, max(1, min(processes, todo))))
  with contextlib.closing(results), tqdm.tqdm(
      results, desc=job.split.name, unit='image', mininterval=0.5,
      total=len(job.images), initial=len(job.images) - todo) as bar:
    stream = iter(bar)
    for index in indices:
      shards.write(
          folder, job.shard_names[index], job.fingerprint,
          itertools.islice(stream, len(job.shard_images(index))), collected)
    next(stream, None)  # Lets the bar reach its end.
