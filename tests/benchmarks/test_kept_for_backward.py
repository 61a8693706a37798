"""What a training step keeps, and its number of operations, stay small."""

from benchmarks import kept_for_backward


def test_a_training_step_stays_small():
  graph, forward = kept_for_backward.trace('axial_resnet_s', 224, 2, 'ours')
  assert kept_for_backward.count_with_bodies(graph.as_graph_def()) < 15_000
  tensors = kept_for_backward.kept(graph.get_operations(), forward)
  assert sum(map(kept_for_backward.bytes_of, tensors)) / 2 < 110e6
