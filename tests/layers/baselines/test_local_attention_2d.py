import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.layers.attention import equation
from axial_tf.layers.attention import settings as attention_settings
from axial_tf.layers.baselines import local_attention_2d
from tests.layers import harness

LocalAttention2D = local_attention_2d.LocalAttention2D
_ALL = attention_settings.AttentionTerms()


@pytest.mark.parametrize('options', [
    dict(strides=2, span=3), dict(activation='sigmoid', terms=_ALL),
    dict(norm=None, span=1)])
def test_harness(options):
  harness.check_layer(
      lambda: LocalAttention2D(8, 12, heads=2, **options), [2, 7, 18, 6])


class _Dense:
  """Equation 3 over all pairs of pixels, of which some are visible."""

  def __init__(self, layer, kernel_size, heads, terms=_ALL,
               activation='softmax'):
    self.key_channels = layer.key_channels
    self.kernel_size = kernel_size
    self.heads = heads
    self.terms = terms
    self.activation = activation
    self.moments = {}
    self.weights = {
        v.name.split(':')[0].split('/', 1)[1]: v for v in layer.variables}

  def __call__(self, inputs, training):
    batch, height, width, _ = inputs.shape
    pixels = height * width
    qkv = tf.reshape(inputs, [batch, pixels, -1]) @ self.weights['qkv_kernel']
    qkv = self._norm('qkv_norm', qkv, tf.reshape(qkv, [-1, qkv.shape[-1]]),
                     training)
    query, key, value = (
        tf.reshape(part, [batch, pixels, self.heads, -1]) for part in (
            qkv[..., :self.key_channels],
            qkv[..., self.key_channels:2 * self.key_channels],
            qkv[..., 2 * self.key_channels:]))
    y, x = np.divmod(np.arange(pixels), width)
    offsets = [c[None, :] - c[:, None] for c in (y, x)]
    flange = self.kernel_size // 2
    valid = (abs(offsets[0]) <= flange) & (abs(offsets[1]) <= flange)
    rpe = {
        name: tf.concat([
            tf.gather(self.weights[f'{name}_rpe_{axis}'],
                      np.clip(offset + flange, 0, self.kernel_size - 1))
            for axis, offset in zip(('rows', 'columns'), offsets)], -1)
        for name in ('query', 'key', 'value')
        if f'{name}_rpe_rows' in self.weights}
    def norm_logits(terms):  # [terms, b, h, o, p]
      terms = tf.transpose(terms, [1, 3, 4, 0, 2])
      shape = tf.shape(terms)
      terms = tf.reshape(terms, [*shape[:3], -1])
      terms = self._norm('logit_norm', terms, tf.boolean_mask(
          tf.transpose(terms, [1, 2, 0, 3]), valid), training)
      return tf.transpose(tf.reshape(terms, shape), [3, 0, 4, 1, 2])

    def norm_outputs(terms):  # [terms, b, h, o, d]
      terms = tf.transpose(terms, [1, 3, 0, 2, 4])
      shape = tf.shape(terms)
      terms = tf.reshape(terms, [*shape[:2], -1])
      terms = self._norm('output_norm', terms, terms, training)
      return tf.transpose(tf.reshape(terms, shape), [2, 0, 3, 1, 4])

    weights = equation.weights(
        query, key, rpe.get('query'), rpe.get('key'), norm=norm_logits,
        content=self.terms.content, activation=self.activation, visible=valid)
    outputs = equation.retrieve(
        weights, value if self.terms.value_content else None,
        rpe.get('value'), norm=norm_outputs)
    outputs = tf.transpose(outputs, [0, 2, 1, 3])
    return tf.reshape(outputs, [batch, height, width, -1])

  def _norm(self, name, values, population, training):
    """Batch norm of the last axis; `population` is [..., channels]."""
    if f'{name}/gamma' not in self.weights:
      return values
    mean, variance = (
        self.weights[f'{name}/moving_{x}'] for x in ('mean', 'variance'))
    if training:
      population = tf.reshape(population, [-1, population.shape[-1]])
      mean, variance = tf.nn.moments(population, 0)
      self.moments[name] = mean, variance
    return tf.nn.batch_normalization(
        values, mean, variance, self.weights[f'{name}/beta'],
        self.weights[f'{name}/gamma'], 1e-3)


def _inputs(height, width, channels=6):
  rng = np.random.default_rng(height * 100 + width)
  return tf.constant(rng.normal(size=[2, height, width, channels]))


def _layer(inputs, **options):
  """Returns a layer in float64, where rounding hides no mistake."""
  with harness.precision('float64'):
    layer = LocalAttention2D(6, 8, heads=2, **options)
    layer(inputs)
  harness.randomize(layer)
  return layer


def _close(actual, expected, what):
  expected = tf.convert_to_tensor(expected).numpy()
  np.testing.assert_allclose(
      actual, expected, rtol=0, err_msg=what,
      atol=1e-9 * max(1.0, np.abs(expected).max()))


# Blocks that fit and that do not, windows that reach over several blocks,
# that cover the image, one pixel, one row, one column.
_CASES = [
    ((1, 1), 7), ((1, 23), 7), ((19, 1), 3), ((8, 8), 3), ((13, 9), 5),
    ((23, 12), 7), ((5, 30), 9), ((11, 14), 1), ((7, 7), 7), ((40, 6), 25)]


def _step(call, layer, x):
  """Returns outputs of inference and of training, and gradients."""
  inferred = call(x, training=False)
  with tf.GradientTape() as tape:
    tape.watch(x)
    outputs = call(x, training=True)
    loss = tf.reduce_sum(outputs ** 3)
  return inferred, outputs, tape.gradient(
      loss, [x, *layer.trainable_variables])


def _check_step(step, layer, dense, inputs):
  """Checks a step of a layer against the equation."""
  what = f'for {tuple(inputs.shape)}'
  moving = {name: v.numpy() for name, v in dense.weights.items()}
  inferred, expected, expected_gradients = _step(dense, layer, inputs)
  outputs = step(inputs)
  _close(outputs[0], inferred, f'inference {what}')
  _close(outputs[1], expected, f'training {what}')
  names = ['inputs', *(v.name for v in layer.trainable_variables)]
  for name, left, right in zip(names, outputs[2], expected_gradients):
    if right is None:  # Content does not feel positions where k = 1.
      right = tf.zeros_like(left)
    _close(left, right, f'{name} {what}')
  for name, (mean, variance) in dense.moments.items():
    for kind, value in (('mean', mean), ('variance', variance)):
      name_of = f'{name}/moving_{kind}'
      # Keras rounds the momentum to float32.
      np.testing.assert_allclose(
          dense.weights[name_of], 0.99 * moving[name_of] + 0.01 * value,
          atol=1e-6, err_msg=f'{name_of} {what}')


@pytest.mark.parametrize('size,kernel_size', _CASES)
def test_equals_masked_dense(size, kernel_size):
  activation = 'sigmoid' if size in [(13, 9), (7, 7)] else 'softmax'
  inputs = _inputs(*size)
  layer = _layer(inputs, span=kernel_size, terms=_ALL,
                 activation=activation)
  dense = _Dense(layer, kernel_size, 2, activation=activation)
  _check_step(lambda x: _step(layer, layer, x), layer, dense, inputs)


# Windows of one block, of parts of two blocks, and of several.
@pytest.mark.parametrize('kernel_size,activation,sizes', [
    (1, 'softmax', [(11, 14)]),
    (7, 'softmax', [(1, 1), (1, 23), (19, 1), (8, 8), (23, 12), (7, 7)]),
    (25, 'sigmoid', [(13, 9), (5, 30), (40, 6)])])
def test_a_graph_of_unknown_size_equals_masked_dense(
    kernel_size, activation, sizes):
  layer = _layer(_inputs(8, 8), span=kernel_size, terms=_ALL,
                 activation=activation)
  dense = _Dense(layer, kernel_size, 2, activation=activation)
  step = tf.function(lambda x: _step(layer, layer, x), input_signature=[
      tf.TensorSpec([None] * 3 + [6], tf.float64)])
  for size in sizes:
    _check_step(step, layer, dense, _inputs(*size))


@pytest.mark.parametrize('terms', [
    attention_settings.AttentionTerms(key_position=False, value_position=False),
    attention_settings.AttentionTerms(False, True, False, False, True),
    attention_settings.AttentionTerms(False, False, True, True, False),
    attention_settings.AttentionTerms(True, False, True, True, True),
    attention_settings.AttentionTerms(True, False, False, True, False)])
def test_each_choice_of_terms_equals_masked_dense(terms):
  inputs = _inputs(9, 14)
  layer = _layer(inputs, span=5, terms=terms)
  dense = _Dense(layer, 5, 2, terms)
  _close(layer(inputs), dense(inputs, False), 'inference')
  _close(layer(inputs, training=True), dense(inputs, True), 'training')


@pytest.mark.parametrize('size', [(14, 14), (9, 20)])
def test_window_that_covers_the_image_sees_all_of_it(size):
  """Beyond that, a larger window only adds unused rows of tables."""
  inputs = _inputs(*size)
  just = _layer(inputs, span=39, terms=_ALL)
  larger = _layer(inputs, span=43, terms=_ALL)
  for old, new in zip(just.variables, larger.variables):
    value = old.numpy()
    if '_rpe_' in old.name:
      value = np.pad(value, [(2, 2), (0, 0)])
    new.assign(value)
  _close(larger(inputs), just(inputs), 'inference')
  _close(larger(inputs, training=True), just(inputs, training=True), 'training')


def test_pixels_out_of_reach_do_not_matter():
  inputs = _inputs(21, 17).numpy()
  layer = _layer(inputs, span=7, terms=_ALL)
  before = layer(inputs).numpy()
  changed = inputs.copy()
  changed[:, 10, 8] += 100.0
  touched = np.abs(layer(changed).numpy() - before).max((0, 3)) > 1e-9
  expected = np.zeros([21, 17], bool)
  expected[7:14, 5:12] = True
  np.testing.assert_array_equal(touched, expected)


def test_content_alone_commutes_with_mirroring():
  inputs = _inputs(10, 11)
  layer = _layer(inputs, span=5, terms=attention_settings.AttentionTerms(
      True, False, False, True, False))
  _close(layer(inputs[:, ::-1, ::-1]), layer(inputs)[:, ::-1, ::-1], 'mirrored')


def test_permuting_heads_permutes_channels():
  heads, depth = 4, 3
  layer = LocalAttention2D(
      heads * 2, heads * depth, heads=heads, span=3, terms=_ALL)
  inputs = tf.cast(_inputs(5, 9), tf.float32)
  harness.check_head_order(layer, inputs, heads, 2, depth, tolerance=1e-4)


@pytest.mark.parametrize('size', [(6, 9), (1, 7)])
def test_stride_keeps_every_second_row_and_column(size):
  inputs = _inputs(*size)
  full = _layer(inputs, span=5)
  strided = _layer(inputs, span=5, strides=2)
  strided.set_weights(full.get_weights())
  for training in (False, True):
    _close(strided(inputs, training=training),
           full(inputs, training=training)[:, ::2, ::2], f'{training}')


def test_cost_grows_with_the_image_and_not_with_its_square():

  def operations(height):
    layer = LocalAttention2D(4, 8, heads=1, span=5, terms=_ALL)
    concrete = tf.function(layer).get_concrete_function(
        tf.TensorSpec([1, height, 32, 4], tf.float32))
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options['output'] = 'none'
    return tf.compat.v1.profiler.profile(
        concrete.graph, options=options).total_float_ops

  assert operations(64) < 2.1 * operations(32)


def test_frozen_layer_uses_and_keeps_moving_statistics():
  inputs = _inputs(6, 5)
  layer = _layer(inputs)
  layer.trainable = False
  before = layer.get_weights()
  _close(layer(inputs, training=True), layer(inputs), 'frozen')
  for old, new in zip(before, layer.get_weights()):
    np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize('terms,per_pair', [
    (attention_settings.AttentionTerms(
        key_position=False, value_position=False), 2 * 16 + 32),
    (_ALL, 3 * 16 + 2 * 32)])
def test_multiply_adds(terms, per_pair):
  layer = LocalAttention2D(16, 32, terms=terms, strides=2)
  with pytest.raises(errors.UserError, match='expected a built layer'):
    layer.multiply_adds(5, 9)
  layer.build([None, None, None, 10])
  assert layer.multiply_adds(5, 9) == 45 * (10 * 64 + 49 * per_pair)


def test_counts_of_table_1():
  """ResNet-50 with attention for 3x3 convolutions: 18.0M, 3.5B and 3.7B."""
  parameters, costs = 0, {1: 0, 3: 0}
  channels, size = 64, 56
  for stage, blocks in enumerate([3, 4, 6, 3]):
    width = 64 * 2 ** stage
    for block in range(blocks):
      strided = stage > 0 and block == 0
      after = size // 2 if strided else size
      for terms in (1, 3):
        layer = LocalAttention2D(
            width, width, terms=_ALL if terms == 3 else (
                local_attention_2d.STAND_ALONE))
        layer.build([None, None, None, width])
        costs[terms] += layer.multiply_adds(size, size)
      parameters += 3 * width ** 2
      for counts in costs:
        costs[counts] += size ** 2 * channels * width  # First 1x1.
        costs[counts] += after ** 2 * width * 4 * width  # Last 1x1.
        if block == 0:
          costs[counts] += after ** 2 * channels * 4 * width
      parameters += channels * width + 4 * width ** 2
      parameters += channels * 4 * width if block == 0 else 0
      channels, size = 4 * width, after
  stem = 49 * 3 * 64
  parameters += stem + 2048 * 1000 + 1000
  costs = {k: v + stem * 112 ** 2 + 2048 * 1000 for k, v in costs.items()}
  assert round(parameters / 1e6, 1) == 18.0
  assert [round(v / 1e9, 1) for v in costs.values()] == [3.5, 3.7]


@pytest.mark.parametrize('options,message', [
    (dict(key_channels=6), 'key_channels to be a positive multiple of heads'),
    (dict(value_channels=2), 'value_channels to be a positive multiple'),
    (dict(heads=0), 'positive multiple of heads'),
    (dict(key_channels=4), 'key_channels to give each head at least 2'),
    (dict(value_channels=4, terms=_ALL), 'value_channels to give each head'),
    (dict(span=4), 'positive odd number, got 4'),
    (dict(span=0), 'positive odd number, got 0'),
    (dict(span=-3), 'positive odd number, got -3'),
    (dict(strides=0), 'strides of at least 1, got 0'),
    (dict(activation='relu'), "'softmax' or 'sigmoid', got 'relu'"),
])
def test_bad_options(options, message):
  options = {'key_channels': 8, 'value_channels': 8, 'heads': 4, **options}
  with pytest.raises(errors.UserError, match=message):
    LocalAttention2D(**options)
