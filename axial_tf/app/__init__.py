"""Shows what a model makes of an image, on a page in a browser.

The logic is in modules without Gradio; `page`, `segmentation_page` and
`classification_page` lay it out, and `server` serves it.
"""
