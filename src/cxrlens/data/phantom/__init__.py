"""The phantom: a procedural chest X-ray that knows its own truth. No image of any person is in it."""

from cxrlens.data.phantom.body import Facts, PhantomOptions, draw_facts
from cxrlens.data.phantom.phantom import PhantomImage, render

__all__ = ["Facts", "PhantomImage", "PhantomOptions", "draw_facts", "render"]
