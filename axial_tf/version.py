"""Holds the version of the package, for the wheel and exported models."""

__version__ = '0.1.0'
