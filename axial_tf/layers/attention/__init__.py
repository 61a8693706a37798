"""Axial attention: the equation, the layers, and the fast path."""
