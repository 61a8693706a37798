"""The version of the package, for the wheel and for exported models."""

__version__ = '0.1.0'
