"""Earlier name of `axial_tf.client`, kept for existing scripts."""

from axial_tf import cli
from axial_tf.client import __main__ as command
from axial_tf.client.client import BadImageError, Client

__all__ = ('BadImageError', 'Client')

if __name__ == '__main__':
  cli.define_by(command.define_flags)
  cli.run(command.main, command.__doc__, takes_arguments=True)
