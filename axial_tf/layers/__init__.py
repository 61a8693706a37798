"""Axial attention: its maths, the Keras layers, residual blocks and stems."""
