"""Counts the work of XLA programs from their text, as XLA prints them.

What stands in a loop counts as often as the loop turns. Traffic is that of a
device's main memory (HBM): each kernel reads its operands and writes its
results there, padded to the tiles of their layouts, except for what the
compiler has placed in faster memory. Of an array that is only sliced or updated
in part, only these parts count.
"""

import re
from typing import Dict, Iterator, List, Tuple

import numpy as np

_BITS = {'pred': 8, 'bf16': 16}  # Others end in their number of bits.
_ARRAY = re.compile(
    r'(pred|[a-z]+\d+)\[([\d,]*)\](?:\{([\d,]*)(?::([^}]*))?\})?')
_INSTRUCTION = re.compile(
    r'^\s+(ROOT )?%?([\w.\-]+) = (.*?) ([a-z][a-z0-9\-]*)\((.*)$')
_CALLED = re.compile(
    r'(?:body|to_apply|calls|true_computation|false_computation)=%?([\w.\-]+)'
    r'|branch_computations=\{([^}]*)\}')
# Kernels are all instructions but these, and those that run others.
_RUN_OTHERS = ('while', 'conditional', 'call', 'call-start', 'async-start')
_FREE = frozenset((
    'parameter', 'constant', 'get-tuple-element', 'tuple', 'bitcast',
    'after-all', 'opt-barrier', 'add-dependency', 'partition-id', 'replica-id',
    'async-update', 'async-done', 'call-done', 'copy-done', 'slice-done',
    'custom-call-start', 'custom-call-update', 'dynamic-slice-done'))
_SLICES = ('slice', 'dynamic-slice', 'gather')
# Within a fusion, these make no copy of their own.
_VIEWS = ('bitcast', 'convert', 'copy', 'pad', 'reshape', 'transpose')


class Array:
  """Shape of an array: its sizes, bytes with padding, and place."""

  def __init__(self, kind: str, sizes: str, order: str, tiles: str):
    self.sizes = [int(size) for size in sizes.split(',') if size]
    padded = list(self.sizes)
    tile = re.match(r'T\(([\d,]+)\)', tiles or '')
    if tile and order:
      for axis, size in zip(map(int, order.split(',')),
                            map(int, reversed(tile[1].split(',')))):
        padded[axis] = -(-padded[axis] // size) * size
    bits = _BITS.get(kind) or int(re.search(r'\d+', kind)[0])
    self.in_hbm = not re.search(r'S\([1-9]', tiles or '')
    self.bytes = int(np.prod(padded, dtype=np.int64)) * bits // 8


class Instruction:
  """One line of a computation."""

  def __init__(self, match, before: Dict[str, 'Instruction']):
    root, self.name, shape, self.opcode, rest = match.groups()
    self.is_root = bool(root)
    self.arrays = [Array(*m.groups()) for m in _ARRAY.finditer(shape)]
    self.inside, _, self.attributes = rest.partition(')')
    self.operands = [] if self.opcode == 'constant' else [
        before[name] for name in re.findall(r'[\w.\-]+', self.inside)
        if name in before]
    self.users: List[Instruction] = []
    for operand in set(self.operands):
      operand.users.append(self)
    self.called = [
        name for one, several in _CALLED.findall(self.attributes)
        for name in re.findall(r'[\w.\-]+', one or several)]

  @property
  def hbm_bytes(self) -> int:
    return sum(array.bytes for array in self.arrays if array.in_hbm)

  def attribute(self, pattern: str, default: str = '') -> str:
    """Returns the first group of a pattern in the attributes."""
    found = re.search(pattern, self.attributes)
    return found[1] if found else default


Computation = Dict[str, Instruction]


class Program:
  """The computations of a program."""

  def __init__(self, text: str):
    self._computations: Dict[str, Computation] = {}
    for line in re.sub(r'/\*.*?\*/', '', text).splitlines():
      if line.endswith('{') and not line.startswith((' ', 'HloModule')):
        is_entry, name = re.match(r'(ENTRY )?%?([\w.\-]+)', line).groups()
        current = self._computations[name] = {}
        if is_entry:
          self._entry = name
      match = _INSTRUCTION.match(line)
      if match:
        current[match[2]] = Instruction(match, current)

  def flops(self) -> float:
    """Returns those of all matrix products and convolutions."""
    return sum(turns * _flops(kernel)
               for kernel, turns in self._kernels(self._entry))

  def traffic(self) -> int:
    """Returns the bytes that all kernels read from HBM or write to it."""
    return sum(turns * self._moved(kernel)
               for kernel, turns in self._kernels(self._entry))

  def cycles(self) -> int:
    """Returns the compiler's estimates of all kernels; 0 if it makes none."""
    return sum(
        turns * int(kernel.attribute(r'"estimated_cycles":"(\d+)"', '0'))
        for kernel, turns in self._kernels(self._entry))

  def _kernels(self, name: str, turns: int = 1
               ) -> Iterator[Tuple[Instruction, int]]:
    """Yields kernels, and how often they run."""
    for instruction in self._computations[name].values():
      if instruction.opcode in _RUN_OTHERS:
        more = self._turns(instruction) if instruction.opcode == 'while' else 1
        for called in instruction.called:
          yield from self._kernels(called, turns * more)
      elif instruction.opcode not in _FREE:
        yield instruction, turns

  def _turns(self, loop: Instruction) -> int:
    known = loop.attribute(r'"known_trip_count":\{"n":"(\d+)"')
    if known:
      return int(known)
    bounds = self._constants(loop.attribute(r'condition=%?([\w.\-]+)'))
    most = max(bounds, default=1)
    # A loop whose first turn stands before it compares two counters with
    # bounds that differ by one; the smaller one ends it.
    return most - 1 if most > 1 and most - 1 in bounds else most

  def _constants(self, name: str) -> List[int]:
    found = []
    for instruction in self._computations[name].values():
      if instruction.opcode == 'constant' and instruction.inside.isdecimal():
        found.append(int(instruction.inside))
      for called in instruction.called:
        found += self._constants(called)
    return found

  def _moved(self, kernel: Instruction) -> int:
    if kernel.opcode == 'custom-call-done':  # a copy by a v5p's SparseCore
      return 2 * kernel.hbm_bytes
    if kernel.opcode.endswith('-start'):  # a copy between memories
      target = kernel.arrays[0 if kernel.opcode == 'copy-start' else 1]
      return target.bytes * (
          target.in_hbm + bool(kernel.operands[0].hbm_bytes))
    read = sum(
        operand.hbm_bytes if kernel.opcode in _VIEWS
        else self._read(operand, operand.hbm_bytes, [kernel])
        for operand in set(kernel.operands))
    parts = [kernel]
    if kernel.opcode == 'fusion':
      parts = self._computations[kernel.called[0]].values()
    updates = {
        tuple(part.arrays[0].sizes): part.operands[1].arrays[0].bytes
        for part in parts if part.opcode == 'dynamic-update-slice'}
    return read + sum(
        min(array.bytes, updates.get(tuple(array.sizes), array.bytes))
        for array in kernel.arrays if array.in_hbm)

  def _read(self, array: Instruction, size: int, users: List[Instruction]
            ) -> int:
    """Returns how many of an array's bytes its users read."""
    read = 0
    for user in users:
      is_first = user.operands[0] is array
      if user.opcode in _SLICES and is_first:
        read += user.arrays[0].bytes
      elif user.opcode == 'dynamic-update-slice' and is_first:
        continue
      elif user.opcode in _VIEWS and not user.is_root:
        read += self._read(user, size, user.users)
      elif user.opcode == 'fusion':
        for parameter in self._computations[user.called[0]].values():
          if (parameter.opcode == 'parameter'
              and user.operands[int(parameter.inside)] is array):
            read += self._read(parameter, size, parameter.users)
      else:
        return size
    return min(read, size)


def _flops(kernel: Instruction) -> float:
  if kernel.opcode == 'dot':
    left = kernel.operands[0].arrays[0].sizes
    contracted = kernel.attribute(r'lhs_contracting_dims=\{([\d,]+)')
    return 2 * np.prod(kernel.arrays[0].sizes, dtype=float) * np.prod(
        [left[int(axis)] for axis in contracted.split(',') if axis])
  if kernel.opcode != 'convolution':
    return 0
  left, right, result = (
      dict(zip(axes, array.sizes)) for axes, array in zip(
          re.search(r'dim_labels=(\w+)_(\w+)->(\w+)',
                    kernel.attributes).groups(),
          (kernel.operands[0].arrays[0], kernel.operands[1].arrays[0],
           kernel.arrays[0])))

  def window(name, axis, default):
    values = kernel.attribute(r'window=\{[^}]*\b' + name + r'=([\d_\-x]+)')
    return int(values.split('x')[axis].split('_')[0]) if values else default

  products = 2.0 * result['b'] * result['f'] * right['i']
  for axis in range(len(right) - 2):
    size, low, stride, spread, dilation = (
        window(name, axis, default) for name, default in (
            ('size', 1), ('pad', 0), ('stride', 1), ('lhs_dilate', 1),
            ('rhs_dilate', 1)))
    # Pairs of outputs and taps that meet an input, not padding or a gap.
    at = (np.arange(result[str(axis)])[:, None] * stride - low
          + np.arange(size) * dilation)
    products *= np.count_nonzero(
        (at >= 0) & (at <= (left[str(axis)] - 1) * spread)
        & (at % spread == 0))
  return products
