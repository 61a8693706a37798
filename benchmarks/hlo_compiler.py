"""Compiles XLA programs for a TPU or GPU that is not there.

It runs in an environment with JAX and without TensorFlow; `ahead_of_time`
starts it. JAX has no public function that compiles a serialized
HloModuleProto, so the versions that work are pinned there.
"""

import json
import os
import re
import sys
import time
from typing import Any, Dict, NamedTuple, Sequence

from benchmarks import hlo_text


class Chip(NamedTuple):
  """What a chip does at most, from its data sheet.

  Attributes:
    topology: name of a small topology with this chip; '' for a GPU.
    flops: operations of products of float32 arrays per second, as they are
      computed by default (TPUs: in bfloat16, GPUs: in TF32).
    flops_bfloat16: the same of bfloat16 arrays.
    bandwidth: bytes per second of the main memory.
    clock: cycles per second that the compiler's estimates are divided by; 0
      if it makes none.
  """

  topology: str
  flops: float
  flops_bfloat16: float
  bandwidth: float
  clock: float


CHIPS = {
    'v5e': Chip('v5e:2x2', 197e12, 197e12, 819e9, 1.5e9),
    'v5p': Chip('v5p:2x2x1', 459e12, 459e12, 2765e9, 1.75e9),
    'h100': Chip('', 495e12, 989e12, 3350e9, 0),
}
# The GPU that XLA compiles for, as GpuTargetConfigProto.
_H100 = '''
platform_name: "CUDA"
device_description_str: "NVIDIA H100 80GB HBM3"
dnn_version_info { major: 9 minor: 10 }
gpu_device_info {
  name: "NVIDIA H100 80GB HBM3"  device_vendor: "NVIDIA Corporation"
  platform_version: "Compute Capability 9.0"
  cuda_compute_capability { major: 9 }
  driver_version: "12.8.0"  runtime_version: "12.8.0"
  compile_time_toolkit_version: "12.8.0"  dnn_version: "9.10.0"
  core_count: 132  fpus_per_core: 128  clock_rate_ghz: 1.98
  threads_per_warp: 32  threads_per_block_limit: 1024
  threads_per_core_limit: 2048
  block_dim_limit_x: 2147483647  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  thread_dim_limit_x: 1024  thread_dim_limit_y: 1024  thread_dim_limit_z: 64
  registers_per_core_limit: 65536  registers_per_block_limit: 65536
  shared_memory_per_block: 49152  shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472  l2_cache_size: 52428800
  memory_bandwidth: 3350000000000  device_memory_size: 84942979072
  device_address_bits: 64  ecc_enabled: true
}
'''
# libtpu otherwise asks the machine which TPU it is, and locks it.
_ENVIRONMENT = {
    'JAX_PLATFORMS': 'cpu', 'TPU_SKIP_MDS_QUERY': '1',
    'TPU_ACCELERATOR_TYPE': 'v5litepod-4', 'TPU_WORKER_HOSTNAMES': 'localhost',
    'ALLOW_MULTIPLE_LIBTPU_LOAD': '1',
    'XLA_FLAGS': '--xla_gpu_autotune_level=0'}  # It would time kernels.


def main(arguments: Sequence[str]) -> None:
  """Prints as JSON what a program costs: chip, type of products, file."""
  name, precision, path = arguments
  os.environ.update(_ENVIRONMENT)
  with open(path, 'rb') as file:
    content = file.read()
  start = time.time()
  try:
    found = _compile(content, CHIPS[name], precision)
  except Exception as error:  # JAX's errors have no public common class.
    found = {'failure': failure(str(error))}
    print(error, file=sys.stderr)
  print(json.dumps({**found, 'compile_seconds': round(time.time() - start)}))


def failure(message: str) -> str:
  """Returns a few words for the compiler's error."""
  needed = re.search(r'Ran out of memory.*? \(([\d.]+)G\) exceeds', message)
  return f'needs {needed[1]} GB' if needed else 'fails'


def _compile(content: bytes, chip: Chip, precision: str) -> Dict[str, Any]:
  from jax._src.interpreters import mlir
  from jax._src.lib import _jax, xla_client
  from jax._src.lib.mlir import ir
  from jax.experimental import topologies
  from jaxlib import _hlo
  computation = xla_client.XlaComputation(content)
  text = computation.as_hlo_text(print_large_constants=True)
  flops = hlo_text.Program(text).flops()
  if ' copy(' in text:
    # TensorFlow copies what is both a result and a variable's new value;
    # StableHLO has no such operation, and the copy is none of the step's work.
    module = _hlo.hlo_module_from_text(text.replace(' copy(', ' reshape('))
    computation = xla_client.XlaComputation(
        module.as_serialized_hlo_module_proto())
  del text
  platform = 'tpu' if chip.topology else 'cuda'
  device = topologies.get_topology_desc(
      platform=platform,
      **(dict(topology_name=chip.topology) if chip.topology else dict(
          topology_name='h100', topology='1x1x1', target_config=_H100))
  ).devices[0]
  with mlir.make_ir_context():
    module = ir.Module.parse(
        _jax.mlir.xla_computation_to_mlir_module(computation))
  executable = device.client.compile(
      module, xla_client.DeviceList((device,)), xla_client.CompileOptions())
  memory = executable.get_compiled_memory_stats()
  compiled = hlo_text.Program(executable.hlo_modules()[0].to_string())
  traffic = compiled.traffic()
  peak = chip.flops_bfloat16 if precision == 'bfloat16' else chip.flops
  seconds = (compiled.cycles() / chip.clock if chip.clock
             else traffic / chip.bandwidth + flops / peak)
  return {
      'temporary': memory.temp_size_in_bytes, 'traffic': traffic,
      'seconds': seconds, 'use': flops / peak / seconds}
