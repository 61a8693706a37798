"""Lines can be read as soon as they are written, and are complete."""

import os
import signal
import subprocess
import sys

import pytest

from axial_tf import errors
from axial_tf.files import line_files


def test_lines_can_be_read_while_the_file_grows(tmp_path):
  path = tmp_path / 'new' / 'lines.txt'
  with line_files.LineFile(str(path)) as lines:
    for number in range(3):
      lines.add('x' * 10_000 + str(number))
      assert len(path.read_text().splitlines()) == number + 1
      assert path.read_bytes().endswith(b'%d\n' % number)


def test_an_existing_file_is_overwritten(tmp_path):
  path = tmp_path / 'lines.txt'
  path.write_text('old\n')
  with line_files.LineFile(str(path)) as lines:
    lines.add('new')
  assert path.read_text() == 'new\n'


def test_a_killed_process_leaves_its_lines(tmp_path):
  path = tmp_path / 'lines.txt'
  done = subprocess.run([sys.executable, '-c', f"""
import os, signal
from axial_tf.files import line_files
lines = line_files.LineFile({str(path)!r})
for number in range(1000):
  lines.add(str(number) * 3000)
os.kill(os.getpid(), signal.SIGKILL)
"""])
  assert done.returncode == -signal.SIGKILL
  assert path.read_text().splitlines() == [
      str(number) * 3000 for number in range(1000)]


def test_a_path_that_cannot_be_written_is_one_line(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(errors.UserError, match='cannot be written'):
    line_files.LineFile(str(tmp_path / 'file' / 'lines.txt'))


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='of Linux')
def test_a_full_disk_is_one_line():
  lines = line_files.LineFile('/dev/full')
  with pytest.raises(errors.UserError, match='No space left'):
    lines.add('x')
