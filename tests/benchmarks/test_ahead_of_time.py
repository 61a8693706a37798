"""Costs are read from compiled programs; tables show them, or why not."""

import subprocess
import sys

import pytest

from benchmarks import hlo_compiler, hlo_text

# As libtpu prints it: a loop that turns 3 times, over slices of an array.
_COMPILED = '''\
HloModule step, is_scheduled=true

%slice_product (a: f32[3,16,100], b: f32[100,24], i: s32[]) -> f32[16,24] {
  %a = f32[3,16,100]{2,1,0:T(8,128)} parameter(0)
  %b = f32[100,24]{1,0:T(8,128)S(1)} parameter(1)
  %i = s32[]{:T(128)} parameter(2)
  %zero = s32[]{:T(128)} constant(0)
  %rows = f32[1,16,100]{2,1,0:T(8,128)} dynamic-slice(%a, %i, %zero, %zero), \
dynamic_slice_sizes={1,16,100}
  %left = f32[16,100]{1,0:T(8,128)} bitcast(%rows)
  ROOT %p = f32[16,24]{1,0:T(8,128)} convolution(%left, %b), \
dim_labels=bf_io->bf
}

%body (s: (s32[], f32[3,16,100], /*index=2*/f32[100,24], f32[16,24])) -> \
(s32[], f32[3,16,100], /*index=2*/f32[100,24], f32[16,24]) {
  %s = (s32[], f32[3,16,100]{2,1,0:T(8,128)}, \
/*index=2*/f32[100,24]{1,0:T(8,128)S(1)}, f32[16,24]{1,0:T(8,128)}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%s), index=0
  %a = f32[3,16,100]{2,1,0:T(8,128)} get-tuple-element(%s), index=1
  %b = f32[100,24]{1,0:T(8,128)S(1)} get-tuple-element(%s), index=2
  %product = f32[16,24]{1,0:T(8,128)} fusion(%a, %b, %i), kind=kOutput, \
calls=%slice_product, backend_config={"estimated_cycles":"700"}
  ROOT %t = (s32[], f32[3,16,100]{2,1,0:T(8,128)}, \
f32[100,24]{1,0:T(8,128)S(1)}, f32[16,24]{1,0:T(8,128)}) tuple(%i, %a, %b, \
%product)
}

%condition (s: (s32[], f32[3,16,100], f32[100,24], f32[16,24])) -> pred[] {
  %s = (s32[], f32[3,16,100]{2,1,0:T(8,128)}, \
f32[100,24]{1,0:T(8,128)S(1)}, f32[16,24]{1,0:T(8,128)}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%s), index=0
  %end = s32[]{:T(128)} constant(4)
  %most = s32[]{:T(128)} constant(3)
  %less = pred[]{:T(512)} compare(%i, %end), direction=LT
  %less_1 = pred[]{:T(512)} compare(%i, %most), direction=LT
  ROOT %and = pred[]{:T(512)} and(%less, %less_1)
}

ENTRY %main (a: f32[3,16,100], b: f32[100,24]) -> f32[16,24] {
  %a = f32[3,16,100]{2,1,0:T(8,128)} parameter(0)
  %b = f32[100,24]{1,0:T(8,128)} parameter(1)
  %one = s32[]{:T(128)} constant(1)
  %zeros = f32[16,24]{1,0:T(8,128)} constant({...})
  %start = (f32[100,24]{1,0:T(8,128)S(1)}, f32[100,24]{1,0:T(8,128)}, \
u32[]{:S(2)}) copy-start(%b)
  %done = f32[100,24]{1,0:T(8,128)S(1)} copy-done(%start)
  %s = (s32[], f32[3,16,100]{2,1,0:T(8,128)}, f32[100,24]{1,0:T(8,128)S(1)}, \
f32[16,24]{1,0:T(8,128)}) tuple(%one, %a, %done, %zeros)
  %loop = (s32[], f32[3,16,100]{2,1,0:T(8,128)}, \
f32[100,24]{1,0:T(8,128)S(1)}, f32[16,24]{1,0:T(8,128)}) while(%s), \
condition=%condition, body=%body
  %product = f32[16,24]{1,0:T(8,128)} get-tuple-element(%loop), index=3
  ROOT %out = bf16[16,24]{1,0:T(8,128)(2,1)} convert(%product), \
backend_config={"estimated_cycles":"50"}
}
'''
# As for a v5p, whose SparseCores copy arrays into other layouts.
_SPARSE_CORES = '''\
HloModule copies, is_scheduled=true

%copying (a: f32[256,128]) -> f32[256,128] {
  %a = f32[256,128]{0,1:T(8,128)} parameter(0)
  ROOT %copy = f32[256,128]{1,0:T(8,128)} copy(%a)
}

ENTRY %main (a: f32[256,128], b: f32[512,128]) -> f32[512,128] {
  %a = f32[256,128]{0,1:T(8,128)} parameter(0)
  %b = f32[512,128]{0,1:T(8,128)} parameter(1)
  %start = ((f32[256,128]{0,1:T(8,128)}), f32[256,128]{1,0:T(8,128)}, \
u32[]{:S(8)}) call-start(%a), async_execution_thread="sparsecore", \
to_apply=%copying
  %done = f32[256,128]{1,0:T(8,128)} call-done(%start)
  %start.1 = ((), (), (s32[32768]{0:T(1024)})) custom-call-start(), \
called_computations={%copying}
  %update = ((f32[512,128]{0,1:T(8,128)}), f32[512,128]{1,0:T(8,128)}, \
(s32[32768]{0:T(1024)})) custom-call-update(%start.1, %b)
  ROOT %done.1 = f32[512,128]{1,0:T(8,128)} custom-call-done(%update)
}
'''
_PLAIN = '''\
HloModule products

ENTRY main {
  x = f32[2,9,9,8]{3,2,1,0} parameter(0)
  w = f32[3,3,8,16]{3,2,1,0} parameter(1)
  y = f32[2,5,5,16]{3,2,1,0} convolution(x, w), window={size=3x3 stride=2x2 \
pad=1_1x1_1}, dim_labels=b01f_01io->b01f
  dw = f32[2,9,9,8]{3,2,1,0} convolution(y, w), window={size=3x3 pad=1_1x1_1 \
lhs_dilate=2x2 rhs_reversal=1x1}, dim_labels=b01f_01oi->b01f
  p = f32[4,6,5]{2,1,0} parameter(2)
  q = f32[4,7,5]{2,1,0} parameter(3)
  ROOT pq = f32[4,6,7]{2,1,0} dot(p, q), lhs_batch_dims={0}, \
lhs_contracting_dims={2}, rhs_batch_dims={0}, rhs_contracting_dims={2}
}
'''


def test_traffic_and_cycles_are_those_of_kernels_in_their_loops():
  program = hlo_text.Program(_COMPILED)
  assert program.cycles() == 3 * 700 + 50
  # Padded to tiles of 8 times 128.
  rows, index, result = 4 * 16 * 128, 4, 4 * 16 * 128
  copied = 4 * 104 * 128  # once to fast memory, from which reads are free
  assert program.traffic() == (
      copied + 3 * (rows + index + result) + result + result / 2)


def test_copies_by_sparse_cores_are_traffic():
  program = hlo_text.Program(_SPARSE_CORES)
  assert program.traffic() == 2 * 4 * 128 * (256 + 512)
  assert program.cycles() == 0


def test_flops_of_products_leave_out_padding_and_gaps():
  taps = (3 * 5 - 2) ** 2  # per axis, 2 of 15 are padding
  convolution = 2 * 2 * taps * 8 * 16
  # The gradient of the inputs has the same pairs.
  assert hlo_text.Program(_PLAIN).flops() == (
      2 * convolution + 2 * 4 * 6 * 7 * 5)


@pytest.mark.parametrize('message, words', [
    ('RESOURCE_EXHAUSTED: E1000: CompileTimeHbmOom: Ran out of memory on HBM, '
     'the total memory required for HLO temporaries (19.61G) exceeds available '
     'HBM (15.75G).', 'needs 19.61 GB'),
    ('INTERNAL: no idea', 'fails')])
def test_failures_are_a_few_words(message, words):
  assert hlo_compiler.failure(message) == words


# In processes of their own, as flags of two benchmarks have one name.
def _run(project_root, tmp_path, *arguments):
  return subprocess.run(
      [sys.executable, 'benchmarks/ahead_of_time.py', '--chips=v5e',
       '--cases=stage_2_infer', f'--output_dir={tmp_path}', *arguments],
      cwd=project_root, check=True, capture_output=True, text=True)


def test_an_interpreter_without_jax_is_one_sentence(project_root, tmp_path):
  done = _run(project_root, tmp_path, f'--jax_python={sys.executable}')
  assert done.stdout.startswith(f'skipped: {sys.executable} has no JAX')
  assert 'pip install' in done.stdout and done.stdout.count('\n') == 1


def test_table_of_kept_results_and_failures(project_root, tmp_path):
  """A stand-in for the interpreter with JAX compiles two of three programs."""
  python = tmp_path / 'python'
  python.write_text('''#!/bin/sh
case "$*" in
  *import\\ jax,*) ;;
  *published*) echo '{"failure": "needs 24.1 GB"}' ;;
  *v5e\\ float32*) echo '{"temporary": 384565248, "traffic": 3593137628, \
"seconds": 0.012008, "use": 0.0035, "compile_seconds": 31}' ;;
  *) echo 'out of memory' >&2; kill -9 $$ ;;
esac
''')
  python.chmod(0o755)
  for kind in ('published', 'ours_tpu', 'ours_tpu_bf16'):
    (tmp_path / f'stage_2_infer.{kind}.hlo').touch()
  expected = ('| layer of stage 2, inference | needs 24.1 GB | '
              '12, 385, 3.59, 0.35 % | fails |')
  done = _run(project_root, tmp_path, f'--jax_python={python}')
  assert expected in done.stdout.splitlines()
  assert 'v5e stage_2_infer ours_bf16 ...\n  out of memory' in done.stderr
  # Nothing is compiled again.
  again = _run(project_root, tmp_path, f'--jax_python={python}')
  assert again.stdout == done.stdout and not again.stderr


@pytest.mark.slow
def test_a_program_of_the_table_is_exported(project_root, tmp_path):
  subprocess.run(
      [sys.executable, 'benchmarks/export_hlo.py', '--cases=stage_5_infer',
       '--kinds=ours_tpu', f'--output_dir={tmp_path}'],
      cwd=project_root, check=True)
  assert (tmp_path / 'stage_5_infer.ours_tpu.hlo').stat().st_size > 10_000
