"""Lays out the page about classes; `classification_viewer` answers it."""

from types import ModuleType

from axial_tf.app import classification_viewer, overview, page

_MOST = 20  # Classes that are shown.


def build(gr: ModuleType, viewer: classification_viewer.ClassificationViewer):
  """Returns the page as Gradio's blocks.

  Args:
    gr: the module gradio.
    viewer: the viewer that answers it.
  """
  spec = viewer.model.spec
  with page.blocks(gr, f'Classes: {spec.name}') as blocks:
    page.title(gr, f'Classes: {spec.name}', f'{spec.num_classes} classes')
    key = gr.State('')
    with gr.Row():
      with gr.Column(scale=1, min_width=300):
        file = page.picture_file(gr)
        message = gr.HTML()
        top = gr.Slider(
            1, min(_MOST, spec.num_classes), min(5, spec.num_classes), step=1,
            label='Classes', info='the most probable ones')
        bars = gr.HTML()
        links = gr.HTML()
      with gr.Column(scale=2, min_width=400):
        picture = page.shown_picture(gr)
    table = gr.Dataframe(
        headers=list(overview.CLASS_COLUMNS), interactive=False,
        label='Classes, the most probable first')

    def classify(path, key, top):
      shown = viewer.open(path, top, key)
      return (*shown[:-1], list(shown.rows))

    gr.on([file.change, top.change], classify, [file, key, top],
          [key, message, picture, bars, links, table], api_name='classify',
          show_progress_on=picture, **page.EVENT)
  return blocks
