"""Apache Beam writes exactly the bytes that a local conversion writes."""

import functools
import json

import pytest

from axial_tf import errors
from axial_tf.cluster import beam_options
from data_prep.engine import conversion, jobs, local_conversion
from data_prep.readers import coco, splits

# A runner in this process, which prints nothing unless something is wrong.
_ARGUMENTS = ['--runner=DirectRunner', '--direct_num_workers=1']


@pytest.fixture
def convert(tiny_spec, tmp_path):
  spec = tmp_path / 'spec.json'
  spec.write_text(json.dumps(tiny_spec.to_json()))

  def run(tiny, folder, max_errors=0, arguments=_ARGUMENTS):
    from data_prep.engine import beam_conversion
    split = coco.read_custom_split(
        str(tiny.root), tiny.split, splits.ReadOptions(spec=str(spec)))
    job = jobs.Job(split, str(folder), 2, {}, {})
    return conversion.convert(job, max_errors, (
        functools.partial(beam_conversion.make_shards, arguments=arguments)
        if arguments else
        functools.partial(local_conversion.make_shards, processes=1)))

  return run


def _files(folder):
  return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_same_bytes(tiny_coco, convert, tmp_path):
  tiny = tiny_coco(split='train')
  assert convert(tiny, tmp_path / 'beam')['num_images'] == 3
  convert(tiny, tmp_path / 'local', arguments=None)
  assert _files(tmp_path / 'beam') == _files(tmp_path / 'local')


def test_faults(tiny_coco, convert, tmp_path):
  tiny = tiny_coco()
  (tiny.image_dir / '2.jpg').write_bytes(b'no picture')
  with pytest.raises(errors.UserError, match='2.jpg: damaged.*1 of 2 shards'):
    convert(tiny, tmp_path / 'beam')
  assert convert(tiny, tmp_path / 'beam', max_errors=1)['num_images'] == 2
  convert(tiny, tmp_path / 'local', max_errors=1, arguments=None)
  assert _files(tmp_path / 'beam') == _files(tmp_path / 'local')


@pytest.mark.parametrize('given, told', [
    (['--runner=DirectRunner', '--direct_num_wokers=2'],
     'no option --direct_num_wokers; did you mean --direct_num_workers'),
    (['--runner=DataflowRunner', '--projct', 'mine'],
     'no option --projct; did you mean --project'),
    (['--runner=DirectRunner', '--frobnicate'], 'no option --frobnicate; see'),
    (['--runner=FlinkRunner', '--flink_mastr=a:1'],
     'no option --flink_mastr; did you mean --flink_master'),
    (['--runner=DirectRunner', '--num_workers=many'],
     'does not accept.*num_workers: invalid int value'),
])
def test_options_unknown_to_beam(tiny_coco, convert, tmp_path, capfd,
                                         given, told):
  with pytest.raises(errors.UserError, match=told):
    convert(tiny_coco(), tmp_path / 'out', arguments=given)
  assert not (tmp_path / 'out').exists()
  assert 'usage' not in capfd.readouterr().err


def test_options_of_other_runners():
  # The last is an option of Flink's job server.
  assert beam_options.pipeline(
      ['--runner=FlinkRunner', '--flink_master=a:1', '--parallelism=3'])
  # Known all, but not enough for Dataflow.
  with pytest.raises(errors.UserError, match='Missing GCS path option'):
    beam_options.pipeline([
        '--runner=DataflowRunner', '--project=mine', '--region', 'here',
        '--max_num_workers=3', '--no_use_public_ips'])


def test_wrong_options(tiny_coco, convert, tmp_path):
  with pytest.raises(errors.UserError, match='Beam does not accept'):
    convert(tiny_coco(), tmp_path / 'out', arguments=['--runner=NoRunner'])
  assert not (tmp_path / 'out').exists()
