"""Earlier name of `axial_tf.count`, kept for existing scripts."""

from absl import flags

from axial_tf import cli, count

if __name__ == '__main__':
  flags.DEFINE_bool('count', True, 'count the models, which is the default.')
  cli.define_by(count.define_flags)
  cli.run(count.main, count.__doc__)
