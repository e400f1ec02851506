"""cxrlens: does transfer learning help here, and what did the network learn to look at?"""
__version__ = "0.1.0"
