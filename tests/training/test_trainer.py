"""The loss records its first bad step, on one and two replicas."""

import pytest
import tensorflow as tf

from axial_tf.training import trainer

_NAN = float('nan')


@pytest.mark.parametrize('devices', [['CPU:0'], ['CPU:0', 'CPU:1']])
@pytest.mark.parametrize('losses, good', [
    ([[1, 1], [2, 2], [3, 3]], None),
    ([[1, 1], [2, 2], [_NAN, _NAN]], 2),
    ([[1, 1], [_NAN, _NAN], [2, 2]], 1),
    ([[1, 1], [1, 11], [_NAN, 2]], 1),
    ([[float('inf'), 1], [1, 1], [1, 1]], 0),
])
def test_the_first_bad_step_of_any_replica(devices, losses, good):
  strategy = tf.distribute.MirroredStrategy(devices)
  with strategy.scope():
    metric = trainer.WatchedLoss('loss', limit=10)
    for _ in range(2):  # The second loop starts afresh.
      for step in losses:
        # One replica sees the worse of the two losses.
        shares = step if len(devices) == 2 else [sum(step)]
        values = strategy.experimental_distribute_values_from_function(
            lambda context, shares=shares: tf.constant(
                float(shares[context.replica_id_in_sync_group])))
        strategy.run(metric.update_state, [values])
      assert metric.first_bad() == good
      if good is None:
        assert float(metric.result()) == pytest.approx(2 * (
            1 if len(devices) == 2 else 2))
      metric.reset_state()
