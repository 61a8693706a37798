"""Imports published weights into a folder like that of a training run.

Examples:
  python -m axial_tf.import_weights --source=csrhddlam --input=axial50s.pth \\
    --output_dir=runs/axial50s

  python -m axial_tf.import_weights --source=deeplab2 \\
    --input=max_deeplab_s_backbone_os16_axial_deeplab_cityscapes/ckpt-60000 \\
    --gin_file=experiments/cityscapes_deeplab2.gin \\
    --gin_params="VARIANT = 'deeplab2_max_deeplab_s_backbone'" \\
    --output_dir=runs/max_s

--source is csrhddlam (the authors' PyTorch code; nothing in the file is run,
and PyTorch is not needed) or deeplab2 (TensorFlow checkpoints). The gin file
defines the architecture; that of csrhddlam is inferred from the weights.

--output_dir can then be given to axial_tf.predict, axial_tf.export and, with
--gin_params="RECORDS='...'", axial_tf.train --mode=eval, and to
RunSettings.init_checkpoint. With --records, a classifier's classes get their
names from there.
"""

from absl import flags

from axial_tf import cli, errors

FLAGS = flags.FLAGS

# Placeholder for the records until some are given.
_NO_RECORDS = 'RECORDS-of-your-own'
_CSRHDDLAM = 'experiments/imagenet_csrhddlam.gin'


def _define_flags() -> None:
  flags.DEFINE_enum(
      'source', None, ['deeplab2', 'csrhddlam'], 'origin of the weights.')
  cli.define_path(
      'input', None, 'a .pth file, or a checkpoint.')
  cli.define_path('output_dir', None, 'a new folder.', local=True)
  cli.define_paths(
      'gin_file', 'gin file of an experiment with the architecture; may be '
      'repeated. Optional with csrhddlam.')
  flags.DEFINE_multi_string(
      'gin_params', None, 'one gin binding; overrides the files; may be '
      'repeated.')
  cli.define_path(
      'records', None, 'folder of TFRecords for evaluation or training.')
  flags.DEFINE_bool(
      'allow_partial', False, 'whether weights may be left over or missing.')


def main() -> None:
  cli.require(source='deeplab2 or csrhddlam', input='a weights file',
              output_dir='a new folder')
  if FLAGS.source == 'deeplab2':
    cli.require(gin_file='the experiment with the architecture, such as '
                'experiments/cityscapes_deeplab2.gin')

  from axial_tf.experiment import config
  from axial_tf.weights import importing

  read, assumed = _SOURCES[FLAGS.source]
  arrays, files, bindings = read()
  experiment = config.parse(files, [
      f'RECORDS = {FLAGS.records or _NO_RECORDS!r}', *bindings,
      *(FLAGS.gin_params or [])], assumed)
  if FLAGS.records and not importing.has_records(experiment.task.data):
    data = experiment.task.data
    raise errors.UserError(
        f'--records: no files match {data.train_pattern!r} or '
        f'{data.validation_pattern!r}; give the folder that '
        f'data_prep.convert wrote, or leave --records out')
  report = importing.write_run(
      experiment, arrays, FLAGS.input, FLAGS.output_dir,
      FLAGS.allow_partial)
  print(report.format_table())
  print(f'written to {FLAGS.output_dir}')


def _read_csrhddlam():
  """Returns arrays, gin files and bindings."""
  from axial_tf.weights import csrhddlam, torch_files

  state = torch_files.read_state(FLAGS.input)
  try:
    arrays = csrhddlam.arrays(state)
    if FLAGS.gin_file:
      return arrays, FLAGS.gin_file, []
    width, blocks = csrhddlam.structure(state)
  except (KeyError, ValueError, IndexError) as error:
    raise errors.UserError(
        f'{FLAGS.input}: is not a classifier of the current csrhddlam/axial-'
        f'deeplab ({type(error).__name__}: {errors.first_line(error)}); '
        f'files older than its commit 81e375b have other weights') from error
  return arrays, [_CSRHDDLAM], [f'WIDTH = {width}', f'BLOCKS = {blocks}']


def _read_deeplab2():
  """Returns arrays, gin files and bindings."""
  from axial_tf.weights import deeplab2

  return deeplab2.arrays(deeplab2.read(FLAGS.input)), FLAGS.gin_file, []


# The reader of each source, and assumptions about its networks. Those of
# deeplab2 were trained with gray padding, however the experiment sets it.
_SOURCES = {
    'csrhddlam': (_read_csrhddlam, ()),
    'deeplab2': (_read_deeplab2, (
        "PanopticDeepLabSettings.padding = 'gray'",
        "panoptic_settings.padding = 'gray'")),
}


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__)
