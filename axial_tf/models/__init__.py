"""Axial-ResNet backbones and the Axial-DeepLab panoptic model."""
