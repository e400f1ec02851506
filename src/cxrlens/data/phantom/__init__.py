"""The phantom: a procedural chest X-ray that knows its own truth. No image of any person is in it."""

from cxrlens.data.phantom.facts import Facts, draw_facts
from cxrlens.data.phantom.options import PhantomOptions
from cxrlens.data.phantom.phantom import PhantomImage, render

__all__ = ["Facts", "PhantomImage", "PhantomOptions", "draw_facts", "render"]
