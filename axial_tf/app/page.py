"""Lays out the parts that all pages have, with Gradio."""

import html
from types import ModuleType
from typing import Any, Dict

from axial_tf import optional_imports

# One event at a time uses the model, and this many wait.
QUEUE = 32
EVENT = {'concurrency_limit': 1, 'concurrency_id': 'model',
         'trigger_mode': 'always_last'}
# Seconds between the deletions of old pictures, and their age then.
_CLEANING = (600, 3600)
_FONTS = ('system-ui', 'sans-serif')

CSS = '''
.title h1 { font-size: 1.5rem; font-weight: 650; margin: 0; }
.title h2 { font-size: 1.15rem; font-weight: 650; margin: .8rem 0 0; }
.title p { opacity: .75; margin: .2rem 0 0; }
.legend { display: flex; flex-wrap: wrap; gap: .35rem 1.1rem; }
.legend i { display: inline-block; width: .9em; height: .9em;
  margin-right: .4em; border-radius: 3px; vertical-align: -.08em;
  box-shadow: 0 0 0 1px rgba(128, 128, 128, .5); }
.legend small, .note, .hint { opacity: .75; }
.mistake { padding: .7rem 1rem; border-radius: 8px; border: 1px solid #dc2626;
  border-left-width: 6px; background: rgba(220, 38, 38, .1);
  overflow-wrap: anywhere; }
.links { display: flex; flex-wrap: wrap; gap: .6rem; }
.links a { padding: .4rem .9rem; border-radius: 8px; text-decoration: none;
  border: 1px solid var(--border-color-primary); color: inherit; }
.links a:hover { border-color: var(--color-accent); }
.bars > div { display: grid; grid-template-columns: 1fr auto;
  margin: .55rem 0; }
.bars i { grid-column: 1 / 3; height: .5rem; min-width: 2px;
  border-radius: 4px; background: var(--color-accent); }
footer { display: none !important; }
'''


def gradio() -> ModuleType:
  """Imports Gradio; enter `confinement.folder` before.

  Raises:
    errors.UserError: it is not installed, or cannot be imported.
  """
  return optional_imports.load('gradio', 'app', 'the page')


def blocks(gr: ModuleType, title: str):
  """Returns an empty page."""
  return gr.Blocks(
      title=title, analytics_enabled=False, delete_cache=_CLEANING)


def theme(gr: ModuleType):
  """Returns colors, and fonts of the browser's own."""
  return gr.themes.Default(
      primary_hue='blue', font=_FONTS, font_mono=('ui-monospace', 'monospace'))


def title(gr: ModuleType, heading: str, text: str) -> None:
  """Adds a heading, and a line below it, both plain text."""
  gr.HTML(f'<h1>{html.escape(heading)}</h1><p>{html.escape(text)}</p>',
          elem_classes='title')


def picture_file(gr: ModuleType):
  """Adds the place to drop a picture; its value is the path of the upload."""
  return gr.File(label='Picture (JPEG or PNG)', height=170)


def shown_picture(gr: ModuleType):
  """Adds a picture that is drawn for the dropped one."""
  return gr.Image(
      label='Picture', show_label=False, interactive=False, format='png',
      height=520, buttons=['fullscreen'])


def private() -> Dict[str, Any]:
  """Returns options of an event that has no name for programs."""
  return {'api_visibility': 'private', **EVENT}
