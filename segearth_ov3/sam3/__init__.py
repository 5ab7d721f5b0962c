"""SAM 3's text-prompted image network, written from its specification in plain PyTorch.

Read `model.py` first: it composes the parts in the order in which a pixel passes through them.
"""
