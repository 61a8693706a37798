"""Segments image files with a trained or exported model.

Examples:
  python -m axial_tf.predict --model=exports/demo --input='photos/*.jpg' \\
    --output_dir=segmented

  --input is a file, a folder (searched with its subfolders) or a pattern;
  --model an export or the --model_dir of a training run.

  python -m axial_tf.predict --model=runs/demo --input=photo.jpg \\
    --output_dir=segmented --pictures=overlay,attention --pixel=120,80 \\
    --layer=stage4_block1 --head=0

  python -m axial_tf.predict --model=runs/coco --input=/data/coco/val2017 \\
    --output_dir=results --format=coco --scales=0.5,0.75,1,1.25,1.5 --flip

Writes for each image, below --output_dir in the same subfolders:
  <name>_panoptic.png   the segment of each pixel: id = R + 256 G + 65536 B
  <name>.json           the segments: id, category, score, area, box
and, of these, the requested --pictures:
  <name>_overlay.png    the image under its colored, labeled segments; legend
  <name>_heatmap.png    where the model sees centers of things (DeeperLab: also
                        corners of their boxes)
  <name>_offsets.png    the direction from each pixel to its center
  <name>_short_offsets.png  of DeeperLab: that to the keypoint nearby
  <name>_affinities.png, <name>_partitions.png  levels of an SSAP
  <name>_attention.png  what --pixel attends to in --layer: its column, its
                        row, and the two together; --model is a training run

With --format, the files for the official evaluators and axial_tf.evaluate:
  coco        panoptic.json and panoptic/*.png; detections.json
  cityscapes  panoptic.json and panoptic/*.png; semantic/*_labelIds.png;
              instances/*.txt and masks
  mapillary   panoptic.json and panoptic/*.png; with --class_list, instances/

Images larger than the memory, such as slides and aerial pictures:

  python -m axial_tf.predict --model=runs/cells --input=slide.tif \\
    --output_dir=segmented --tile=1024 --overlap=256

With --beam, images are segmented by Apache Beam, on a cluster with --runner
and --pipeline_options; --model, --input and --output_dir may then be remote:

  python -m axial_tf.predict --beam --runner=DataflowRunner \\
    --pipeline_options='--project=mine --region=here' --batch_size=8 \\
    --model=gs://mine/exports/coco --input='gs://mine/photos/*.jpg' \\
    --output_dir=gs://mine/segmented

If --model is a classifier, this does the same as axial_tf.classify.

--skip_existing resumes a run that was stopped: it leaves out images that have
results already, which must be those of the same model and options.

An image that cannot be read is reported and skipped, the others are processed,
and the exit status is 1. Results of an earlier run among the images are
ignored, and no image is overwritten by a result.
"""

from absl import flags

from axial_tf import classify, cli, errors
from axial_tf.cluster import beam_options
from axial_tf.files import model_folders, paths

FLAGS = flags.FLAGS

# Flag names by task.
_OF_TASK = {}


def _define_flags() -> None:
  cli.define_by(classify.define_common_flags)
  _OF_TASK.update({
      model_folders.CLASSIFICATION: cli.define_by(classify.define_own_flags),
      model_folders.PANOPTIC: cli.define_by(_define_own_flags)})


def _define_own_flags() -> None:
  flags.DEFINE_enum(
      'format', 'files', ['files', 'coco', 'cityscapes', 'mapillary'],
      'what to write: files for each image, or results for an evaluator.')
  cli.define_path(
      'image_list', None, 'JSON whose "images" have "id" and "file_name", with '
      '--format=coco; without it, the images\' names are their ids.',
      local=True)
  cli.define_path(
      'class_list', None, 'config.json of Mapillary Vistas, with '
      '--format=mapillary.', local=True)
  flags.DEFINE_list(
      'scales', None, 'image scales to average over, such as 0.5,1,1.5; '
      'default: those of the model.')
  flags.DEFINE_bool('flip', False, 'also average over the mirrored image.')
  flags.DEFINE_integer(
      'tile', None, 'side of the tiles, in pixels, in which larger images are '
      'segmented; their segments are joined. Default: whole images.')
  flags.DEFINE_integer(
      'overlap', None, 'pixels that neighboring tiles share, at least as many '
      'as things are wide; default: a quarter of the tile.')
  flags.DEFINE_list(
      'pictures', None, 'which of overlay, attention, heatmap, offsets (of a '
      'DeeperLab also short_offsets; of an SSAP affinities, partitions instead '
      'of the last two) to draw; empty for none. Default: overlay with '
      '--format=files.')
  flags.DEFINE_string(
      'pixel', None, 'y,x of the pixel whose attention is drawn; default: the '
      'middle of each image.')
  flags.DEFINE_string(
      'layer', None, 'layer whose attention is drawn; default: the last; an '
      'unknown name lists them.')
  flags.DEFINE_integer(
      'head', None, 'head whose attention is drawn, from 0; default: the mean.')
  flags.DEFINE_bool(
      'skip_existing', False, 'leave out images whose results exist already, '
      'such as those of a run that was stopped.')
  flags.DEFINE_bool(
      'beam', False, 'segment with Apache Beam; locally without --runner.')
  beam_options.define_flags('segment')


def main() -> None:
  cli.require(model='an export or a training run')
  if _task() is model_folders.CLASSIFICATION:
    cli.refuse(_OF_TASK[model_folders.PANOPTIC], ' belongs to segmentation, '
               'but --model is a classifier; leave it out')
    classify.main()
    return
  cli.refuse(_OF_TASK[model_folders.CLASSIFICATION], ' belongs to classifiers, '
             'but --model is not one; leave it out')
  cli.require(input='an image, a folder or a pattern',
              output_dir='a folder for the results')
  paths.require_reachable(FLAGS.output_dir)

  from axial_tf.files import image_files, image_reader

  files = image_files.find(FLAGS.input, FLAGS.output_dir)
  scales = cli.numbers('scales', FLAGS.scales)
  beam_arguments = beam_options.arguments()

  from axial_tf.prediction import predictor, segmented_files, tiles

  tiles.Tiling.of(FLAGS.tile, FLAGS.overlap)
  results = segmented_files.Results(
      FLAGS.output_dir, _pictures(), FLAGS.format, FLAGS.image_list,
      FLAGS.class_list)
  stems = image_files.output_stems(files)
  results.require_new(stems)
  if FLAGS.skip_existing:
    stems = _without_existing(stems, results)
  if not stems:
    return
  if FLAGS.beam or beam_arguments:
    _require_fit_for_beam(results)
    failed = segmented_files.segment_with_beam(
        FLAGS.model, stems, results, FLAGS.batch_size,
        beam_arguments or ['--runner=DirectRunner'], FLAGS.tile, FLAGS.overlap)
  else:
    failed = segmented_files.segment_here(
        predictor.Predictor(FLAGS.model, scales=scales, flip=FLAGS.flip,
                            compile=FLAGS.compile, tile=FLAGS.tile,
                            overlap=FLAGS.overlap),
        stems, results, FLAGS.batch_size)
  print(f'{len(stems) - len(failed)} images segmented, results in '
        f'{FLAGS.output_dir}')
  image_reader.require_all(list(stems), failed, 'segmented')


def _without_existing(stems, results):
  """Returns the images that have no results yet."""
  if results.file_format != 'files':
    cli.refuse(['format'], ': an evaluator takes all images at once; leave '
               '--skip_existing out')
  missing = results.missing(stems)
  print(f'{len(stems) - len(missing)} of {len(stems)} images have results '
        f'already')
  return missing


def _task():
  """Returns the task of --model; None where it is unknown."""
  try:
    return model_folders.find(FLAGS.model).task
  except errors.UserError:
    return None  # Reported when it is loaded, after the flags are checked.


def _require_fit_for_beam(results) -> None:
  refused = ['image_list', 'class_list', 'scales', 'flip', 'compile']
  if results.file_format != 'files':
    refused.append('format')
  if set(results.pictures.names) - {'overlay'}:
    refused.append('pictures')
  cli.refuse(refused, ': with Beam, expected files for each image and at most '
             '--pictures=overlay; leave it out or run without Beam')
  beam_options.require_beam()


def _pictures():
  """Returns the pictures that --pictures requests."""
  from axial_tf.files import earlier_results
  from axial_tf.prediction import predicted_files

  names = FLAGS.pictures
  if names is None:
    names = ['overlay'] if FLAGS.format == 'files' else []
  cli.require_known('pictures', names, earlier_results.PICTURES)
  if 'attention' not in names:
    cli.refuse(('pixel', 'layer', 'head'),
               ' needs the attention picture; add attention to --pictures')
  return predicted_files.Pictures(
      names, predicted_files.parse_pixel(FLAGS.pixel), FLAGS.layer, FLAGS.head)


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__)
