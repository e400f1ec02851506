"""The phantom: synthetic chest X-rays with known truth, drawn by procedures. It contains no image of any person."""

from cxrlens.data.phantom.body import Facts, PhantomOptions, draw_facts
from cxrlens.data.phantom.phantom import PhantomImage, render

__all__ = ["Facts", "PhantomImage", "PhantomOptions", "draw_facts", "render"]
