"""The version, in a file that nothing needs to import torch for."""

__version__ = "0.1.0"
