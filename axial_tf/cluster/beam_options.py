"""Defines the flags of tools that run on clusters, and makes their pipelines.

Apache Beam is an extra, so it is imported only when requested.
"""

import argparse
import contextlib
import difflib
import io
import re
import shlex
from typing import List, Optional, Sequence

from absl import flags

from axial_tf import errors, optional_imports
from axial_tf.files import json_files

# The flags defined here belong to the tools that define them by this module.
flags.disclaim_key_flags()
# Beam does not know its own runner for Dask by a short name.
_DASK = 'apache_beam.runners.dask.dask_runner'
# Their job servers define further options, for which Beam queries them.
_JOB_SERVERS = ('flinkrunner', 'portablerunner', 'sparkrunner')


def define_flags(action: str) -> None:
  """Defines --runner and --pipeline_options.

  Args:
    action: what the tool does with Beam, such as 'convert'.
  """
  flags.DEFINE_string(
      'runner', None,
      f'{action} with Apache Beam: DirectRunner, DaskRunner, FlinkRunner, '
      f'DataflowRunner, ...')
  flags.DEFINE_string(
      'pipeline_options', '',
      "further options of Apache Beam: '--project=mine --region=here'.")


def arguments() -> List[str]:
  """Returns the flags' options for Beam; empty if Beam is not requested.

  Raises:
    errors.UserError: options without a runner, or an unclosed quote.
  """
  text = flags.FLAGS.pipeline_options
  try:
    given = shlex.split(text)
  except ValueError as error:
    raise errors.UserError(
        f'--pipeline_options: expected options in shell syntax, got '
        f'{text!r} ({error})') from error
  if flags.FLAGS.runner:
    return [*given, f'--runner={flags.FLAGS.runner}']
  if given:
    raise errors.UserError(
        '--pipeline_options belongs to Apache Beam; add --runner=...')
  return []


def require_beam():
  """Returns the module apache_beam.

  Raises:
    errors.UserError: it is not installed, or cannot be imported.
  """
  return optional_imports.load('apache_beam', 'beam', '--runner (or --beam)')


def pipeline(given: Sequence[str]):
  """Returns an empty Beam pipeline; a context manager that runs it.

  Args:
    given: options of Beam, '--runner=DirectRunner' for instance.

  Raises:
    errors.UserError: Beam cannot be imported, or does not accept the options,
      or does not know one of them; or the file of Dask's scheduler cannot be
      read.
  """
  beam = require_beam()
  from apache_beam.options import pipeline_options

  is_dask = any(re.fullmatch('--runner=dask(runner)?', argument.lower())
                for argument in given)
  if is_dask:
    given = _with_dask(given)
  # Without a list, Beam would parse this program's arguments.
  _require_known(given, pipeline_options.PipelineOptions([]))
  try:
    options = pipeline_options.PipelineOptions(list(given))
    made = beam.Pipeline(options=options)
  except (ValueError, SystemExit) as error:  # Beam's argparse exits.
    raise errors.UserError(
        f'Apache Beam does not accept {" ".join(given)!r} '
        f'({" ".join(str(error).split())}); see its documentation for the '
        f'options of each runner') from error
  if is_dask:
    _require_scheduler(options.get_all_options().get('scheduler_file'))
  return made


def _require_scheduler(path: Optional[str]) -> None:
  """Checks --dask_scheduler_file, for which Dask would wait forever."""
  if path is None:
    return
  content = json_files.read(
      path, 'a scheduler of Dask', 'give the file that it wrote')
  if not isinstance(content, dict) or 'address' not in content:
    raise errors.UserError(
        f'--dask_scheduler_file: {path} has no address; expected the file that '
        f'a scheduler of Dask wrote')


def _with_dask(given: Sequence[str]) -> List[str]:
  """Returns the options for Beam's runner for Dask.

  Raises:
    errors.UserError: Dask is not installed.
  """
  purpose = '--runner=DaskRunner'
  optional_imports.load('distributed', 'dask', purpose)
  optional_imports.load(_DASK, 'dask', purpose)  # Defines its options.
  found = [a for a in given if not a.startswith('--runner=')]
  if not any(a.startswith(('--dask_npartitions', '--dask_partition_size'))
             for a in found):
    # By default, Beam leaves 128 elements, here tasks, to one worker.
    found.append('--dask_partition_size=1')
  return [*found, f'--runner={_DASK}.DaskRunner']


def _require_known(given: Sequence[str], options) -> None:
  """Rejects options that Beam would drop with no more than a log line.

  Args:
    given: options of Beam.
    options: PipelineOptions without any option set.
  """
  parsers = []
  known = [f'--{name}' for name in options.get_all_options(
      add_extra_args_fn=parsers.append)]
  messages = io.StringIO()
  try:
    with contextlib.redirect_stderr(messages):  # argparse prints its usage.
      found, unknown = parsers[0].parse_known_args(list(given))
  except (argparse.ArgumentError, SystemExit) as error:
    last = (messages.getvalue().splitlines() or [str(error)])[-1]
    said = last.rpartition('error: ')[2]
    raise errors.UserError(
        f'--pipeline_options: Apache Beam does not accept '
        f'{" ".join(given)!r} ({said})') from error
  has_server = str(found.runner).rpartition('.')[2].lower() in _JOB_SERVERS
  for argument in unknown:
    name = argument.partition('=')[0]
    near = difflib.get_close_matches(name, known, 1, 0.8)
    if near or not has_server:
      raise errors.UserError(
          f'--pipeline_options: Apache Beam has no option {name}'
          + (f'; did you mean {near[0]}?' if near else
             '; see its documentation for the options of each runner'))
