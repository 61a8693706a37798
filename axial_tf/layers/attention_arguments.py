"""What every attention layer asks of its arguments."""

from axial_tf import errors

_ACTIVATIONS = ('softmax', 'sigmoid')


def check(layer: str, key_channels: int, value_channels: int, heads: int,
          activation: str) -> None:
  """Checks the arguments that all attention layers have.

  Args:
    layer: name of the class, for errors.
    key_channels: channels of all queries together (and of all keys).
    value_channels: channels of all values together.
    heads: number of heads.
    activation: activation of the logits.

  Raises:
    errors.UserError: channels that heads do not divide, an unknown activation.
  """
  for name, value in (('key_channels', key_channels),
                      ('value_channels', value_channels)):
    if heads < 1 or value < heads or value % heads:
      raise errors.UserError(
          f'{layer}: expected {name} to be a positive multiple of heads, got '
          f'{value} channels and {heads} heads; choose another width or number '
          f'of heads')
  if activation not in _ACTIVATIONS:
    raise errors.UserError(
        f"{layer}: expected activation 'softmax' or 'sigmoid', got "
        f'{activation!r}; choose one of them')
