"""Panoptic labels, training targets, losses and merging: pure functions.

Nothing here knows about models, files, gin or flags. All functions take and
return tensors and keep static shapes. All compile with `jit_compile=True` but
`targets.compact`, which the CPUs of the input pipeline run.
"""
