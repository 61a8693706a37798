"""Counts the models of the paper: parameters and multiply-adds.

Examples:
  The models, next to the figures that the paper publishes:
  python -m axial_tf.count

  A single model, as JSON:
  python -m axial_tf.count --variant=axial_deeplab_l --json

  The table of docs/models.md:
  python -m axial_tf.count --markdown

  Also the models of the paper's ablations, or the counts under other
  readings of what the paper leaves open (both take minutes):
  python -m axial_tf.count --ablations
  python -m axial_tf.count --alternatives

Parameters are in millions and exclude batch norm's gamma and beta where marked
so, as in the paper. Multiply-adds are in billions and cover all convolutions,
projections and attention; batch norm, softmax and resizing are left out.
"""

import json

from absl import flags

from axial_tf import cli

FLAGS = flags.FLAGS

_HEADER = (
    f'{"model":35}{"image":>10}{"params":>8}{"no BN":>8}{"paper":>7}{"diff":>7}'
    f'{"M-Adds":>9}{"paper":>8}{"diff":>7}{"k*16":>7}')

_MARKDOWN_HEADER = '''\
| model | data set | parameters, paper / here | M-Adds, paper / here | \
score, paper | counts from |
|---|---|---|---|---|---|'''
# Data sets by the size of the images for which the paper counts.
_DATA = {(224, 224): 'ImageNet', (1025, 2049): 'Cityscapes',
         (1025, 1025): 'COCO', (2177, 2177): 'Mapillary Vistas'}


def define_flags() -> None:
  """Defines the flags of the command."""
  flags.DEFINE_list(
      'variant', None, 'count only these models, separated by commas.')
  flags.DEFINE_bool('ablations', False, "count the paper's ablations as well.")
  flags.DEFINE_bool(
      'alternatives', False, 'print the counts of other readings of the paper.')
  flags.DEFINE_bool('json', False, 'print rows as JSON, without the paper.')
  flags.DEFINE_bool('markdown', False, 'print a table in Markdown.')


def main() -> None:
  if FLAGS.alternatives:
    print_alternatives()
  else:
    print_counts(
        FLAGS.variant, FLAGS.ablations, FLAGS.json, FLAGS.markdown)


def print_counts(names, with_ablations: bool, as_json: bool,
                 as_markdown: bool = False) -> None:
  """Prints a table, or JSON, of all models or of the named ones."""
  from axial_tf.models import ablations, counts, settings_by_name, variants

  rows = variants.VARIANTS
  if names:
    known = settings_by_name.ROWS
    cli.require_known('variant', names, known)
    rows = {name: known[name] for name in names}
  elif with_ablations:
    rows = {**rows, **ablations.ABLATIONS}
  header = _MARKDOWN_HEADER if as_markdown else _HEADER
  row = format_markdown if as_markdown else format_count
  if not as_json:
    print(header)
  found = []
  for name, variant in rows.items():
    for count in counts.count(name, variant):
      found.append(count)
      if not as_json:
        print(row(count), flush=True)
  if as_json:
    print(json.dumps([to_json(count) for count in found], indent=2))
  elif not as_markdown:
    print('diff: from the paper, in %. k*16: the same for images without the '
          'last row and column.')


def format_count(count) -> str:
  """Returns one line of the table; unpublished figures are left blank."""
  line = (f'{count.name:35}{f"{count.height}x{count.width}":>10}'
          f'{count.params_m:8.2f}{count.params_without_bn_m:8.2f}')
  madds = f'{count.madds_b:9.2f}'
  if not count.published.source:
    return f'{line}{"":14}{madds}'
  return (f'{line}{count.published.params_m:7.1f}'
          f'{count.params_difference:+7.2f}{madds}'
          f'{count.published.madds_b:8.1f}{count.madds_difference:+7.2f}'
          f'{count.aligned_difference:+7.2f}')


def format_markdown(count) -> str:
  """Returns one line of the table in Markdown."""
  published = count.published
  params, madds = (
      f'{f"{paper:.1f}{unit}" if paper else "-"} / {here:.2f}{unit}'
      for paper, here, unit in (
          (published.params_m, count.params_without_bn_m, 'M'),
          (published.madds_b, count.madds_b, 'B')))
  score = '-' if published.score is None else f'{published.score:.1f}'
  return (f'| `{count.name}` | {_DATA[count.height, count.width]} | {params} | '
          f'{madds} | {score} | {published.source or "-"} |')


def to_json(count) -> dict:
  fields = ('name', 'params_m', 'params_without_bn_m', 'madds_b', 'height',
            'width')
  return {field: getattr(count, field) for field in fields}


def print_alternatives() -> None:
  """Prints how far other readings of the paper are from its figures.

  Multiply-adds are compared at the image sizes at which the paper counted.
  """
  from axial_tf.models import alternatives, counts

  title = ''
  for reading, name, variant in alternatives.readings():
    if reading != title:
      print(reading)
      title = reading
    count = counts.count(name, variant)[0]
    print(f'  {name:28}params {count.params_without_bn_m:7.2f} '
          f'({count.params_difference:+.2f} %)  M-Adds '
          f'{count.aligned_madds_b:8.2f} ({count.aligned_difference:+.2f} %)',
          flush=True)


if __name__ == '__main__':
  define_flags()
  cli.run(main, __doc__)
