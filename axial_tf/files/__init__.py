"""Paths, and files of all types: text, JSON, images, locks, model folders."""
