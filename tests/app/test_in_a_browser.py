"""A person uses the page in Chromium; docs/app.md says how to install it."""

import pathlib
import shutil

import pytest

from tests.app import bad_pictures, served

sync_api = pytest.importorskip(
    'playwright.sync_api', reason='`make test-app` installs playwright')
pytest.importorskip('gradio', reason='the page needs the extra app')

_FIXTURE = pathlib.Path(__file__).parents[1] / 'fixtures' / 'earlier_run'
_CHROMIUM = next(filter(None, map(
    shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
# Milliseconds that a graph may take on a busy machine.
_LONG = 90_000


@pytest.fixture(scope='module')
def address(tmp_path_factory):
  if _CHROMIUM is None:
    pytest.skip('Chromium is not installed: apt-get install chromium')
  with served.page(tmp_path_factory.mktemp('page'), _FIXTURE / 'run') as page:
    yield page.address


@pytest.fixture(scope='module')
def browser(address):
  with sync_api.sync_playwright() as playwright:
    # A sandbox needs rights that a container lacks; the page is our own.
    browser = playwright.chromium.launch(
        executable_path=_CHROMIUM, args=['--no-sandbox'])
    yield browser
    browser.close()


@pytest.fixture
def page(address, browser):
  """The page in a tab; the addresses that it asked, and its mistakes."""
  page = browser.new_page(viewport={'width': 1280, 'height': 1000})
  page.set_default_timeout(_LONG)
  asked, mistakes = [], []
  page.on('request', lambda request: asked.append(request.url))
  page.on('pageerror', lambda error: mistakes.append(str(error)))
  page.goto(address)
  page.wait_for_selector('.title h1')
  yield page
  page.close()
  elsewhere = [url for url in asked if not url.startswith(
      (address, 'data:', 'blob:'))]
  assert len(asked) > 10 and not elsewhere and not mistakes


def _drop(page, path):
  page.set_input_files('input[type=file]', path)


def _slide(page, label, value):
  box = page.get_by_label(f'number input for {label}')
  box.fill(str(value))
  box.press('Enter')


def test_a_person_sees_segments_and_moves_the_sliders(page):
  _drop(page, _FIXTURE / 'scene.png')
  page.wait_for_selector('.note:has-text("49 x 33 pixels, 4 segments")')
  assert page.locator('.legend span').count() == 3
  picture = page.locator('.image-frame img, .image-container img').first
  sync_api.expect(picture).to_be_visible()
  _slide(page, 'Stuff limit', 650)
  page.wait_for_selector('.note:has-text("3 segments; network not run again")')
  page.wait_for_selector('.legend:has-text("void")')
  page.get_by_role('button', name='As the model has them').click()
  page.wait_for_selector('.note:has-text("4 segments; network not run again")')
  with page.expect_download() as saved:
    page.get_by_text('Segments (JSON)').click()
  assert saved.value.suggested_filename == 'scene.json'
  assert '"segments"' in pathlib.Path(saved.value.path()).read_text()
  page.get_by_label('Flip').check()
  page.wait_for_selector('.note:has-text("network ")')
  page.wait_for_function(
      "!document.querySelector('.note').innerText.includes('not run again')")


def test_a_click_shows_what_the_pixel_attends_to(page):
  _drop(page, _FIXTURE / 'scene.png')
  page.wait_for_selector('.note')
  picture = page.locator('.image-frame img, .image-container img').first
  sync_api.expect(picture).to_be_visible()
  # The picture is shown as large as fits, in the middle of its frame.
  place = picture.evaluate("""image => {
    const box = image.getBoundingClientRect();
    const scale = Math.min(1, box.width / image.naturalWidth,
                           box.height / image.naturalHeight);
    return [box.width, box.height, scale * image.naturalWidth,
            scale * image.naturalHeight];
  }""")
  width, height, shown_width, shown_height = place
  picture.click(position={
      'x': (width - shown_width) / 2 + shown_width * 10.5 / 49,
      'y': (height - shown_height) / 2 + shown_height * 20.5 / 33})
  sync_api.expect(page.get_by_label('Row (y)')).to_have_value('20')
  sync_api.expect(page.get_by_label('Column (x)')).to_have_value('10')
  sync_api.expect(page.locator('#attention img')).to_be_visible()


@pytest.mark.parametrize('name', ['notes.png', 'huge.png'])
def test_what_is_wrong_is_said_on_the_page(page, tmp_path, name):
  content, words = bad_pictures.BAD[name]
  (tmp_path / name).write_bytes(content)
  _drop(page, tmp_path / name)
  page.wait_for_selector('.mistake')
  assert words in page.locator('.mistake').first.inner_text()
  page.get_by_label('Clear').or_(
      page.get_by_label('Remove')).first.click()
  _drop(page, _FIXTURE / 'scene.png')
  page.wait_for_selector('.note:has-text("4 segments")')
