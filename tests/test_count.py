import json

import pytest

from axial_tf import count, errors
from axial_tf.models import alternatives, counts, variants
from tests import tools


@pytest.mark.slow
def test_counts_are_listed_next_to_the_published_figures(capsys):
  count.print_counts(['resnet50', 'resnet101'], False, False)
  header, fifty, more, note = capsys.readouterr().out.splitlines()
  assert header == count._HEADER
  assert fifty.split() == [
      'resnet50', '224x224', '25.56', '25.50', '25.6', '-0.38', '4.09', '4.1',
      '-0.26', '-0.26']
  assert more.split() == ['resnet101', '224x224', '44.55', '44.44', '7.80']
  assert '%' in note


def test_json_has_the_size_and_the_counts(capsys):
  count.print_counts(['panoptic_deeplab_resnet50'], False, True)
  [row] = json.loads(capsys.readouterr().out)
  assert row == {
      'name': 'panoptic_deeplab_resnet50', 'height': 1025, 'width': 2049,
      'params_m': pytest.approx(24.81, abs=0.01),
      'params_without_bn_m': pytest.approx(24.75, abs=0.01),
      'madds_b': pytest.approx(380.27, abs=0.01)}


def _cells(line):
  return [cell.strip() for cell in line.strip().strip('|').split('|')]


def test_the_page_of_models_has_the_published_figures(project_root, capsys):
  """Its other figures are those of `test_published_counts`, here of one."""
  text = (project_root / 'docs' / 'models.md').read_text()
  lines = [line for line in text.splitlines() if line.startswith('| `')]
  found = {}
  for line in lines:
    found.setdefault(_cells(line)[0].strip('`'), []).append(_cells(line))
  for name, variant in variants.VARIANTS.items():
    rows = found.pop(name, [])
    assert not variant.published or len(rows) == len(variant.published), name
    for published, row in zip(variant.published, rows):
      score = '-' if published.score is None else f'{published.score:.1f}'
      assert [row[2].split()[0], row[3].split()[0], *row[4:]] == [
          f'{published.params_m:.1f}M', f'{published.madds_b:.1f}B', score,
          published.source]
  assert not found, 'the table of models lacks these'
  count.print_counts(['resnet50'], False, False, True)
  header, line, row = capsys.readouterr().out.splitlines()
  assert f'{header}\n{line}\n' in text and row in lines


def test_an_unknown_model_lists_the_known_ones():
  with pytest.raises(errors.UserError, match='some of axial_resnet_s.*resnet7'):
    count.print_counts(['resnet50', 'resnet7'], False, False)


@pytest.mark.parametrize('module', ['axial_tf.count', 'axial_tf.benchmark'])
def test_the_command_and_its_earlier_name_count(module):
  earlier = ['--count'] if module.endswith('benchmark') else []
  done = tools.succeeds(module, *earlier, '--variant=resnet50', '--json')
  (row,) = json.loads(done.stdout)
  assert row['name'] == 'resnet50'
  assert '--variant' in tools.succeeds(module, '--help').stdout


def test_other_readings_differ_from_the_registered_models():
  readings = list(alternatives.readings())
  registered = {name: variant for reading, name, variant in readings
                if reading == 'as registered'}
  assert len(readings) > 30
  for reading, name, variant in readings:
    if reading != 'as registered' and name in registered:
      assert variant != registered[name], reading


def test_batch_norm_is_recognized_by_its_variables():
  class Variable:
    def __init__(self, name):
      self.name = name

  assert counts.is_batch_norm(Variable('a/norm/gamma:0'))
  assert not counts.is_batch_norm(Variable('a/normal/kernel:0'))
