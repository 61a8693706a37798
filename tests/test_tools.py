from benchmarks import serving  # noqa: F401, defines flags of commands
from tests import tools


def test_commands_run_again_despite_the_flags_of_benchmarks():
  for _ in range(2):
    assert '--model_dir' in tools.succeeds('axial_tf.predict', '--help').stdout
