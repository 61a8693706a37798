"""Panoptic labels, training targets, losses and merging: pure functions.

Nothing here knows about models, files, gin or flags. All functions take and
return tensors, keep static shapes, and compile with `jit_compile=True`.
"""
