"""The version, in a file that nothing needs to import torch for."""

__version__ = "0.1.0"

SOFTWARE = "segearth-ov3"  # as outputs name the program that wrote them
DEMO_SOFTWARE = f"{SOFTWARE} demo"
