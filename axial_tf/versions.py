"""Tells the versions of this package and of what it runs on."""

import importlib
import importlib.metadata
import platform
from typing import Callable, Tuple

from axial_tf import errors, version


def show_versions() -> None:
  """Prints versions and devices, to be copied into a report of a bug.

  What is missing or broken is called so; nothing is raised.
  """
  rows: Tuple[Tuple[str, Callable[[], str]], ...] = (
      ('axial_tf', lambda: version.__version__),
      ('python', platform.python_version),
      ('platform', platform.platform),
      ('tensorflow', _tensorflow),
      ('keras', _keras),
      ('tf-models-official', lambda: importlib.metadata.version(
          'tf-models-official')),
      ('numpy', lambda: importlib.metadata.version('numpy')),
      ('devices', _devices))
  for name, find in rows:
    print(f'{name}: {_found(find)}')


def _found(find: Callable[[], str]) -> str:
  """Returns what a function finds, or in words why it does not."""
  try:
    return find()
  except (importlib.metadata.PackageNotFoundError, ModuleNotFoundError
          ) as error:
    return f'not installed ({error.name})'
  except Exception as error:  # A broken package may raise anything.
    return f'broken ({type(error).__name__}: {errors.first_line(error)})'


def _tensorflow() -> str:
  return importlib.import_module('tensorflow').__version__


def _keras() -> str:
  """Keras 2 in use, of either line of TensorFlow."""
  from axial_tf import keras2

  package = 'keras' if keras2.IS_TF_2_15 else 'tf-keras'
  return f'{package} {importlib.metadata.version(package)}'


def _devices() -> str:
  from axial_tf import devices

  return str(devices.available())
