"""Reads shards, divides them among workers, and makes seeds and batches.

A source reads examples, still encoded, and decodes one:

  source.read(input_context, seed) -> tf.data.Dataset, shuffled files
  source.read_in_order(input_context) -> tf.data.Dataset of (place, element)
  source.decode(element) -> dict of tensors

Places, int64, give the order in which a single worker would read the elements.
"""

import dataclasses
import os
from typing import Any, Callable, Dict, Optional, Tuple

import tensorflow as tf

from axial_tf import errors
from axial_tf.data.common import data_service as data_service_lib
from axial_tf.data.common import epochs, record_checks, record_files
from axial_tf.specs import specs

AUTOTUNE = tf.data.AUTOTUNE
_OPEN_SHARDS = 16
# More than the number of elements of any file.
PLACES_OF_A_FILE = 1 << 40


@dataclasses.dataclass(frozen=True)
class RecordSource:
  """TFRecord shards that are complete and match a spec."""

  paths: Tuple[str, ...]
  decode: Callable[[tf.Tensor], Dict[str, tf.Tensor]]
  counts: Tuple[Optional[int], ...] = ()
  compression: str = ''

  def num_records(self, input_context: Optional[tf.distribute.InputContext]
                  ) -> Optional[int]:
    """Returns how many records `read` yields, None if that is not known."""
    if not self.counts or None in self.counts:
      return None
    workers, worker = place_among_workers(input_context)
    if len(self.paths) >= workers:
      return sum(self.counts[worker::workers])
    return len(range(worker, sum(self.counts), workers))

  def read(self, input_context: Optional[tf.distribute.InputContext],
           seed: epochs.Seed) -> tf.data.Dataset:
    """Returns serialized records of this worker's shards, which are shuffled.

    With fewer shards than workers, each worker gets records of all shards.
    """
    dataset = tf.data.Dataset.from_tensor_slices(list(self.paths))
    workers, worker = place_among_workers(input_context)
    by_file = len(self.paths) >= workers
    if by_file:
      dataset = dataset.shard(workers, worker)
    # Workers that share files must see them in one order to share the records.
    dataset = dataset.shuffle(
        len(self.paths), seed=0 if seed is None and not by_file else seed)
    dataset = dataset.interleave(
        self._read_shards,
        cycle_length=min(_OPEN_SHARDS, len(self.paths)),
        num_parallel_calls=AUTOTUNE,
        deterministic=seed is not None or not by_file)
    return dataset if by_file else dataset.shard(workers, worker)

  def read_in_order(
      self, input_context: Optional[tf.distribute.InputContext]
  ) -> tf.data.Dataset:
    """Returns the records shard by shard, each with its place among all."""
    workers, worker = place_among_workers(input_context)
    by_file = len(self.paths) >= workers
    dataset = tf.data.Dataset.from_tensor_slices(list(self.paths)).enumerate()
    if by_file:
      dataset = dataset.shard(workers, worker)
    dataset = dataset.flat_map(
        lambda number, path: self._read_shards(path).enumerate(
            number * PLACES_OF_A_FILE))
    return dataset if by_file else dataset.shard(workers, worker)

  def _read_shards(self, path: tf.Tensor) -> tf.data.TFRecordDataset:
    return tf.data.TFRecordDataset(path, compression_type=self.compression)


def open_records(pattern: str, spec: specs.Spec,
                 schema: record_checks.Schema) -> RecordSource:
  """Finds the shards of a pattern and checks them against the spec.

  Raises:
    errors.UserError: the records are missing, damaged or of another spec.
  """
  files = record_files.verify_shards(pattern)
  record_checks.check_spec(files, spec, schema)
  return RecordSource(
      files.paths, schema.decode, files.counts, files.compression)


def require_pattern(settings: Any, field: str) -> str:
  """Returns a field of the settings that says where the data is.

  Raises:
    errors.UserError: it is empty.
  """
  pattern = getattr(settings, field)
  if not pattern:
    raise errors.UserError(
        f'{type(settings).__name__}.{field}: expected the pattern of TFRecord '
        f'shards, got none; set it to /data/my_records/train-*.tfrecord, for '
        f'example')
  return pattern


def place_among_workers(
    input_context: Optional[tf.distribute.InputContext]) -> Tuple[int, int]:
  """Returns how many workers read the data and which one this is."""
  if input_context is None:
    return 1, 0
  return input_context.num_input_pipelines, input_context.input_pipeline_id


def replica_batch_size(
    global_batch_size: int,
    input_context: Optional[tf.distribute.InputContext]) -> int:
  """Returns one replica's share of a batch.

  Raises:
    errors.UserError: the batch cannot be divided among the replicas.
  """
  replicas = input_context.num_replicas_in_sync if input_context else 1
  if global_batch_size < 1 or global_batch_size % replicas:
    raise errors.UserError(
        f'batch size: expected a positive multiple of the {replicas} replicas, '
        f'got {global_batch_size}')
  return global_batch_size // replicas


def first_batch(
    first_step: int,
    input_context: Optional[tf.distribute.InputContext]) -> int:
  """Returns how many batches of a replica this worker made before a step."""
  if input_context is None:
    return first_step
  return (first_step * input_context.num_replicas_in_sync
          // input_context.num_input_pipelines)


def endless(
    source: Any, settings: Any, seed: Optional[int],
    input_context: Optional[tf.distribute.InputContext], first: int,
    ahead_of_cache: Callable[[tf.data.Dataset], tf.data.Dataset] = (
        lambda dataset: dataset)) -> tf.data.Dataset:
  """Returns elements of a source in a new order each epoch, without end.

  Args:
    source: source of the elements, see above.
    settings: settings of the pipeline: `cache` and `shuffle_buffer`.
    seed: see `epochs.endless`.
    input_context: worker among others, or None.
    first: number of elements to leave out at the start.
    ahead_of_cache: function applied to the dataset before it is cached.
  """
  if settings.cache:
    cached = ahead_of_cache(source.read(input_context, seed)).cache()
  return epochs.endless(
      lambda epoch_seed: cached if settings.cache else source.read(
          input_context, epoch_seed),
      settings.shuffle_buffer, seed, first, source.num_records(input_context))


def map_with_seeds(
    dataset: tf.data.Dataset, function: Callable, seed: Optional[int],
    input_context: Optional[tf.distribute.InputContext], first: int = 0
) -> tf.data.Dataset:
  """Maps `function(seed, element)` over an endless dataset, in parallel.

  The seeds, int64 [2], are pure functions of `seed`, the worker and the
  position, counted from `first`: what is drawn from them statelessly does not
  depend on which thread runs first. Without `seed`, they differ from run to
  run.
  """
  _, worker = place_among_workers(input_context)
  stream = (int.from_bytes(os.urandom(4), 'little') if seed is None
            else seed * 1009 + worker)
  return dataset.enumerate(start=first).map(
      lambda position, element: function(
          tf.stack([tf.constant(stream, tf.int64), position]), element),
      num_parallel_calls=AUTOTUNE)


def finish(dataset: tf.data.Dataset, deterministic: bool,
           data_service: Optional[str] = None) -> tf.data.Dataset:
  """Sets the options of a finished pipeline and prefetches its batches.

  Args:
    dataset: dataset of batches.
    deterministic: keep the order of the elements.
    data_service: address of a tf.data service that runs the pipeline.

  Raises:
    errors.UserError: as `data_service.distribute`.
  """
  options = tf.data.Options()
  options.deterministic = deterministic
  # The source has divided the records among the workers already.
  options.experimental_distribute.auto_shard_policy = (
      tf.data.experimental.AutoShardPolicy.OFF)
  dataset = dataset.with_options(options)
  if data_service is not None:
    dataset = data_service_lib.distribute(dataset, data_service)
  return dataset.prefetch(AUTOTUNE)


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
  """Returns the dataset with parallel calls as many as tf.data starts with.

  The thread that adjusts them looks at a pipeline after ever longer times, of a
  minute at last, and the deletion of an iterator that a strategy's devices read
  waits for its next look: each validation of a run would.
  """
  options = tf.data.Options()
  options.autotune.enabled = False
  return dataset.with_options(options)
