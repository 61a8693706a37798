"""Imports the packages that the extras install.

Distinguishes a missing package from one that is installed but cannot be
imported: "not installed" for an installed package would be misleading.
"""

import importlib
import importlib.metadata
import os
import shlex
import sys
from types import ModuleType

from packaging import requirements

from axial_tf import errors

_PACKAGE = os.path.dirname(os.path.abspath(__file__))


def load(module: str, extra: str, purpose: str) -> ModuleType:
  """Imports a module that an extra installs.

  Args:
    module: dotted name.
    extra: name of the extra in setup.py.
    purpose: purpose of the module, the subject of the error: 'gRPC'.

  Raises:
    errors.UserError: its package is not installed, or cannot be imported; the
      message ends with the command that installs the extra.
  """
  package = module.partition('.')[0]
  try:
    return importlib.import_module(module)
  # Incompatible versions raise all sorts of errors: protobuf TypeError, NumPy
  # AttributeError, shared libraries OSError.
  except Exception as error:
    missing = isinstance(error, ModuleNotFoundError) and error.name == package
    reason = ('which is not installed' if missing else
              f'which is installed, but cannot be imported '
              f'({type(error).__name__}: {errors.first_line(error)})')
    raise errors.UserError(
        f'{purpose} needs {package}, {reason}; '
        f'{"install" if missing else "repair"} it with: '
        f'{install_command(extra)}') from error


def install_command(extra: str) -> str:
  """Returns the shell command that installs an extra, in any folder.

  The package is on no index, so the command names the running source checkout
  or, for an installed wheel, the packages of the extra.
  """
  checkout = os.path.dirname(_PACKAGE)
  if os.path.exists(os.path.join(checkout, 'setup.py')):
    wanted = ['-e', f'{checkout}[{extra}]']
  else:
    wanted = _requirements(extra)
  return shlex.join([sys.executable, '-m', 'pip', 'install', *wanted])


def _requirements(extra: str):
  """Returns the requirements of an extra as the installed wheel lists them."""
  found = map(requirements.Requirement,
              importlib.metadata.requires('axial_tf') or ())
  return [str(requirement).split(';')[0].strip() for requirement in found
          if requirement.marker and not requirement.marker.evaluate(
              {'extra': ''}) and requirement.marker.evaluate({'extra': extra})]
