r"""Converts a published or custom data set to TFRecord shards.

  python -m data_prep.convert --dataset=coco --input_dir=/data/coco \
      --split=val2017 --output_dir=/data/coco_records

  python -m data_prep.convert --dataset=custom --spec=my_scenes.json \
      --input_dir=/data/my_scenes --split=train --output_dir=/data/my_records

Your own data may be

  coco_instances  a COCO instance JSON, as CVAT, Label Studio, Roboflow and
                  labelme2coco export it, with images
  masks           images with PNGs of classes and PNGs of instances, or
                  PASCAL VOC's folders, as CVAT and labelme2voc write them
  custom          COCO panoptic: images in {split}/ or images/{split}/,
                  annotations/panoptic_{split}.json and its folder of PNGs

  python -m data_prep.convert --dataset=coco_instances --split=train \
      --input_dir=/data/export --infer_spec=my_scenes.json
  python -m data_prep.convert --dataset=coco_instances --split=train \
      --input_dir=/data/export --spec=my_scenes.json --val_fraction=0.2 \
      --output_dir=/data/my_records

Each image is checked against its label, the JSON and the spec. The first error
ends the conversion, unless --on_error=skip; rerun the same command to resume
after the finished shards, even if it was killed. dataset_info.json, written
last, describes the contents of the folder.
"""

import functools
import os
from typing import Any, Callable, Dict, Optional, Sequence

from absl import flags

from axial_tf import cli, errors
from axial_tf.cluster import beam_options
from axial_tf.files import paths
from data_prep import own_data_flags
from data_prep.engine import conversion, jobs, local_conversion, workers
from data_prep.readers import (
  cityscapes,
  coco,
  coco_instances,
  imagenet,
  infer_instances,
  infer_masks,
  infer_spec,
  listed_files,
  mapillary,
  masks,
)
from data_prep.readers import splits as splits_lib

_READERS: Dict[
    str, Callable[[str, str, splits_lib.ReadOptions], splits_lib.Split]] = {
        'coco': coco.read_split,
        'cityscapes': cityscapes.read_split,
        'mapillary_v1.2': functools.partial(
            mapillary.read_split, version='v1.2'),
        'mapillary_v2.0': functools.partial(
            mapillary.read_split, version='v2.0'),
        'custom': coco.read_custom_split,
        'coco_instances': coco_instances.read_split,
        'masks': masks.read_split,
        'imagenet': imagenet.read_split,
    }
_INFER = {'custom': infer_spec.find, 'coco_instances': infer_instances.find,
          'masks': infer_masks.find}
# Option -> the data sets that support it.
_OPTIONS_OF = {'image_folder': ('cityscapes',), 'image_ending': ('cityscapes',),
               'classes': ('imagenet',), **own_data_flags.DATASETS}


def run(
    dataset: Optional[str],
    input_dir: Optional[str],
    split: Optional[str],
    output_dir: Optional[str],
    options: splits_lib.ReadOptions,
    num_shards: Optional[int] = None,
    processes: Optional[int] = None,
    max_errors: int = 0,
    beam_arguments: Sequence[str] = ()) -> None:
  """Converts a split; the arguments are the flags of the same names.

  Args:
    dataset: a key of the table of readers.
    input_dir: local folder of the data set.
    split: 'train2017', for instance.
    output_dir: folder of the shards, local or remote.
    options: options of some data sets.
    num_shards: number of shards; None for one per 128 images.
    processes: number of processes; None for one per core.
    max_errors: maximal number of faulty images to skip; 0 stops at the first.
    beam_arguments: options of Apache Beam; if empty, converts locally.

  Raises:
    errors.UserError: a flag or the data is wrong.
  """
  required = {'dataset': dataset, 'input_dir': input_dir, 'split': split,
              'output_dir': output_dir}
  _require(required)
  paths.require_reachable(output_dir)
  given = _given(dataset, options)
  make_shards = (_beam(beam_arguments) if beam_arguments else functools.partial(
      local_conversion.make_shards, processes=processes))
  found = _READERS[dataset](input_dir, split, options)
  listed_files.require_present(found, max_errors)
  job = jobs.Job(
      split=found,
      output_dir=output_dir,
      num_shards=(jobs.default_num_shards(len(found.images))
                  if num_shards is None else num_shards),
      source={'dataset': dataset, 'input_dir': paths.printable(
          os.path.abspath(input_dir))},
      options={'crowds': options.crowds,
               'max_long_side': options.max_long_side,
               **given})
  entry = conversion.convert(job, max_errors, make_shards)
  print(f'{entry["num_images"]} images of {split} are in {output_dir}')
  for notice, count in entry.get('notices', {}).items():
    print(f'{count} of {entry["num_images"]} images: {notice}')
  if entry['skipped']:
    print(f'{len(entry["skipped"])} faulty images were left out, see '
          f'skipped_{split}.json there')


def write_spec(dataset: str, input_dir: Optional[str], split: Optional[str],
               path: str, options: splits_lib.ReadOptions) -> None:
  """Writes the spec of own data, see `infer_spec`."""
  _require({'input_dir': input_dir, 'split': split})
  if dataset not in _INFER:
    raise errors.UserError(
        f'--infer_spec belongs to --dataset={" or ".join(_INFER)}; {dataset} '
        f'has a built-in spec')
  _given(dataset, options)
  spec = infer_spec.write_spec(
      input_dir, path, _INFER[dataset](input_dir, split, options))
  print(f'{path}: {len(spec.thing_ids)} things and {len(spec.stuff_ids)} stuff '
        f'classes; convert with --dataset={dataset} --spec={path}')


def _given(dataset: str, options: splits_lib.ReadOptions) -> Dict[str, Any]:
  """Returns the given options of some data sets, printable; checks them."""
  given = {name: value for name, value in options.given().items()
           if name in _OPTIONS_OF}
  for name, value in given.items():
    if dataset not in _OPTIONS_OF[name]:
      raise errors.UserError(
          f'--{name} belongs to --dataset={" or ".join(_OPTIONS_OF[name])}; '
          f'leave it out for {dataset}')
    if isinstance(value, str):
      given[name] = paths.printable(value)
  return given


def _require(values: Dict[str, Optional[str]]) -> None:
  for name, value in values.items():
    if not value:
      raise errors.UserError(
          f'--{name} is required; see --help for an example')


def _beam(arguments: Sequence[str]):
  beam_options.require_beam()
  from data_prep.engine import beam_conversion

  return functools.partial(beam_conversion.make_shards, arguments=arguments)


def _define_flags() -> None:
  flags.DEFINE_enum(
      'dataset', None, sorted(_READERS),
      'Data set to read; custom, coco_instances and masks are your own data, '
      'described by --spec.')
  cli.define_path(
      'input_dir', None, 'Folder of the data set.', any_bytes=True, local=True)
  flags.DEFINE_string(
      'split', None, 'Split such as train2017, val2017, train or val.')
  cli.define_path(
      'output_dir', None,
      'Folder for the shards, local or remote (gs://...); several splits may '
      'share it.')
  cli.define_path(
      'spec', None, 'JSON file that describes your own data.')
  cli.define_path(
      'infer_spec', None,
      'Only write the spec of your own data to this JSON file, from the '
      'categories in the JSON, or the PNGs, of the split. Default of --dataset '
      'here: custom.')
  flags.DEFINE_enum(
      'crowds', 'keep', ['keep', 'ignore'],
      'Store crowds as crowds, or as void.')
  flags.DEFINE_integer(
      'max_long_side', None,
      'Shrink images with a longer side, and their labels, to these pixels.',
      lower_bound=1)
  flags.DEFINE_integer(
      'max_pixels', splits_lib.ReadOptions.max_pixels,
      'Reject images of more pixels before decoding them.', lower_bound=1)
  cli.define_path(
      'image_folder', None,
      'Folder of the images in Cityscapes, leftImg8bit_foggy for instance. '
      'Default: leftImg8bit, or the only one with this prefix.')
  flags.DEFINE_string(
      'image_ending', None,
      'Ending of the image names in Cityscapes, '
      '_leftImg8bit_foggy_beta_0.02.png for instance. Default: any.')
  cli.define_path(
      'classes', None,
      'File that lists the classes of ImageNet to use, one per line: the '
      'folder\'s name (n01440764), then an optional readable name.')
  own_data_flags.define()
  flags.DEFINE_integer(
      'num_shards', None, 'Shards. Default: one per 128 images, at most 1000.')
  flags.DEFINE_integer(
      'processes', None,
      'Processes that encode images. Default: one per core for what takes '
      'longer than some seconds.', lower_bound=1)
  flags.DEFINE_enum(
      'on_error', 'fail', ['fail', 'skip'],
      'Reaction to a faulty image; skip lists it in '
      'skipped_{split}.json.')
  flags.DEFINE_integer(
      'max_errors', 10, 'Maximal number of images that --on_error=skip skips.',
      lower_bound=1)
  beam_options.define_flags('Convert')


def main() -> None:
  # No GPU is needed here, and another program may be using it.
  workers.leave_gpus()
  given = flags.FLAGS
  options = splits_lib.ReadOptions(
      spec=given.spec, crowds=given.crowds,
      max_long_side=given.max_long_side, max_pixels=given.max_pixels,
      image_folder=given.image_folder, image_ending=given.image_ending,
      classes=given.classes, **own_data_flags.options(given))
  if given.infer_spec:
    write_spec(given.dataset or 'custom', given.input_dir, given.split,
               given.infer_spec, options)
    return
  run(given.dataset, given.input_dir, given.split, given.output_dir, options,
      given.num_shards, given.processes,
      given.max_errors if given.on_error == 'skip' else 0,
      beam_options.arguments())


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__)
