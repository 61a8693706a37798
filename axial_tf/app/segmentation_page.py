"""Lays out the page about segments; `segmentation_viewer` answers it."""

from types import ModuleType

from axial_tf.app import overview, page, segmentation_viewer

_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)


def build(gr: ModuleType, viewer: segmentation_viewer.SegmentationViewer):
  """Returns the page as Gradio's blocks.

  Args:
    gr: the module gradio.
    viewer: the viewer that answers it.
  """
  return _Page(gr, viewer).blocks


class _Page:
  """The parts of a page, and what happens when they are used."""

  def __init__(self, gr, viewer):
    self._gr = gr
    self._viewer = viewer
    model = viewer.model
    with page.blocks(gr, f'Segments: {model.spec.name}') as self.blocks:
      page.title(gr, f'Segments: {model.spec.name}', _about(model))
      self._key = gr.State('')
      with gr.Row():
        with gr.Column(scale=1, min_width=300):
          self._file = page.picture_file(gr)
          self._message = gr.HTML()
          self._settings = self._settings_of_merging()
          self._scales, self._flip = self._views()
        with gr.Column(scale=3, min_width=400):
          self._shows = gr.Radio(
              list(viewer.pictures), value=viewer.pictures[0],
              label='Picture shows',
              info='a click on a pixel shows, below, what it attends to'
              if model.layers else None)
          self._picture = page.shown_picture(gr)
          self._legend = gr.HTML()
          self._links = gr.HTML()
          if model.layers:
            self._attention()
          self._table = gr.Dataframe(
              headers=list(overview.SEGMENT_COLUMNS), interactive=False,
              label='Segments, the largest first; areas and boxes in pixels',
              datatype=['str', 'str', *7 * ['number']])
      self._answer()

  def _settings_of_merging(self):
    """Adds the sliders; none where there is nothing to choose."""
    gr, own = self._gr, self._viewer.model.merging
    if own is None:
      return []
    with gr.Group():
      sliders = [
          gr.Slider(
              0, max(1.0, own.center_threshold), own.center_threshold,
              step=0.005, label='Center threshold',
              info='heat that the center of a thing must exceed'),
          gr.Slider(
              1, max(63, own.nms_kernel), own.nms_kernel, step=2,
              label='NMS window',
              info='side of the window, in pixels, with one center'),
          gr.Slider(
              0, max(1024, 4 * own.stuff_area_limit), own.stuff_area_limit,
              step=1, label='Stuff limit',
              info='smallest area of a class of stuff, in pixels')]
      reset = gr.Button('As the model has them', size='sm')
    reset.click(
        lambda: (own.center_threshold, own.nms_kernel, own.stuff_area_limit),
        outputs=sliders, api_visibility='private', queue=False)
    return sliders

  def _views(self):
    """Adds scales and flip, which are fixed for an export."""
    gr, model = self._gr, self._viewer.model
    why = ('fixed in an export; start the page with the training run to '
           'choose' if model.is_export else
           'average over these sizes; runs the network again')
    with gr.Group():
      scales = gr.CheckboxGroup(
          [(f'{scale:g}', scale)
           for scale in sorted({*_SCALES, *model.views.scales})],
          value=list(model.views.scales), label='Scales', info=why,
          interactive=not model.is_export)
      flip = gr.Checkbox(
          model.views.flip, label='Flip', interactive=not model.is_export,
          info='average over the mirrored picture, too'
          if not model.is_export else None)
    return scales, flip

  def _attention(self):
    """Adds what a pixel attends to."""
    gr, viewer = self._gr, self._viewer
    names = list(viewer.model.layers)
    gr.HTML('<h2>Attention</h2><p>of the clicked pixel: along its column, '
            'along its row, and the product of the two</p>',
            elem_classes='title')
    with gr.Row(equal_height=True):
      layer = gr.Dropdown(
          names, value=names[-1], label='Layer', min_width=120)
      head = gr.Dropdown(
          viewer.heads(names[-1]), value=segmentation_viewer.MEAN,
          label='Head', min_width=120)
      y = gr.Number(
          0, precision=0, minimum=0, label='Row (y)', min_width=90)
      x = gr.Number(
          0, precision=0, minimum=0, label='Column (x)', min_width=90)
      button = gr.Button('Show', scale=0, min_width=90)
    mistake = gr.HTML()
    picture = gr.Image(
        show_label=False, interactive=False, format='png', height=300,
        buttons=['fullscreen'], elem_id='attention')

    def clicked(key, event: gr.SelectData):
      column, row = event.index
      return viewer.pixel(key, row, column)

    draw = {'fn': viewer.attention,
            'inputs': [self._key, y, x, layer, head],
            'outputs': [mistake, picture]}
    self._picture.select(
        clicked, [self._key], [y, x], **page.private()).then(
            **draw, **page.private())
    gr.on([button.click, y.submit, x.submit], **draw, **page.EVENT,
          api_name='attention')
    layer.input(
        lambda name: gr.update(
            choices=viewer.heads(name), value=segmentation_viewer.MEAN),
        [layer], [head], **page.private()).then(**draw, **page.private())
    head.input(**draw, **page.private())

  def _answer(self):
    """Connects the parts with the viewer."""
    gr, viewer = self._gr, self._viewer
    chosen = [self._scales, self._flip, *self._settings, self._shows]
    outputs = [self._key, self._message, self._picture, self._legend,
               self._links, self._table]

    def choices(scales, flip, *others):
      *settings, shows = others
      return segmentation_viewer.Choices(
          scales, flip, *(settings or (0, 1, 0)), shows)

    def segment(path, key, *chosen):
      return _values(viewer.open(path, choices(*chosen), key))

    def merge(key, *chosen):
      return _values(viewer.merge(key, choices(*chosen)))

    gr.on([self._file.change, self._scales.input, self._flip.input], segment,
          [self._file, self._key, *chosen], outputs, api_name='segment',
          show_progress_on=self._picture, **page.EVENT)
    gr.on([part.change for part in (*self._settings, self._shows)], merge,
          [self._key, *chosen], outputs, api_name='merge',
          show_progress='hidden', **page.EVENT)


def _values(shown: segmentation_viewer.Shown):
  return (*shown[:-1], list(shown.rows))


def _about(model) -> str:
  kind = 'an export' if model.is_export else 'a training run'
  return (f'{len(model.spec.categories)} categories, '
          f'{len(model.spec.thing_ids)} of them things; {kind}')
