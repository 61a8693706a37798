"""Earlier name of `axial_tf.count`, kept for existing scripts."""

from absl import flags

from axial_tf import count

if __name__ == '__main__':
  flags.DEFINE_bool('count', True, 'count the models, which is the default.')
  count.run()
