"""What all tools that may run on a cluster share: Apache Beam's options.

Apache Beam is an extra, so it is imported when it is asked for.
"""

import shlex
from typing import List, Sequence

from absl import flags

from axial_tf import errors


def define_flags(action: str) -> None:
  """Defines --runner and --pipeline_options.

  Args:
    action: what the tool does with Beam, such as 'convert'.
  """
  flags.DEFINE_string(
      'runner', None,
      f'{action} with Apache Beam: DirectRunner, DataflowRunner, ...')
  flags.DEFINE_string(
      'pipeline_options', '',
      "further options of Apache Beam: '--project=mine --region=here'.")


def arguments() -> List[str]:
  """Returns what the flags say to Beam; nothing if it is not wanted.

  Raises:
    errors.UserError: options without a runner.
  """
  given = shlex.split(flags.FLAGS.pipeline_options)
  if flags.FLAGS.runner:
    return [*given, f'--runner={flags.FLAGS.runner}']
  if given:
    raise errors.UserError(
        '--pipeline_options belongs to Apache Beam; add --runner=...')
  return []


def require_beam() -> None:
  """Checks that Apache Beam is installed.

  Raises:
    errors.UserError: it is not.
  """
  try:
    import apache_beam  # noqa: F401
  except ImportError as error:
    raise errors.UserError(
        f'--runner needs Apache Beam ({error}); install it with: pip install '
        f"'axial_tf[beam]'") from error


def pipeline(given: Sequence[str]):
  """Returns an empty Beam pipeline; a context manager that runs it.

  Args:
    given: Beam's own options, '--runner=DirectRunner' for instance.

  Raises:
    errors.UserError: Beam is not installed, or does not accept the options.
  """
  require_beam()
  import apache_beam as beam
  from apache_beam.options import pipeline_options

  try:
    return beam.Pipeline(
        options=pipeline_options.PipelineOptions(list(given)))
  except (ValueError, SystemExit) as error:  # Beam's argparse exits.
    raise errors.UserError(
        f'Apache Beam does not accept {" ".join(given)!r} ({error}); see its '
        f'documentation for the options of each runner') from error
