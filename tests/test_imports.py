"""No two modules import each other, nor does a chain of imports come back, imports for types included."""

from __future__ import annotations

import grimp


def _circles(graph: grimp.ImportGraph) -> list[set[str]]:
    """Sets of modules from each of which the imports lead to every other one (Tarjan 1972)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    circles: list[set[str]] = []

    def visit(module: str) -> None:
        number[module] = lowest[module] = len(number)
        stack.append(module)
        for other in sorted(graph.find_modules_directly_imported_by(module) - {"cxrlens"}):
            if other not in number:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in stack:
                lowest[module] = min(lowest[module], number[other])
        if lowest[module] == number[module]:
            circle = {stack.pop()}
            while module not in circle:
                circle.add(stack.pop())
            if len(circle) > 1:
                circles.append(circle)

    # The lazy names of `cxrlens` itself stand for the whole package.
    for module in sorted(graph.modules - {"cxrlens"}):
        if module not in number:
            visit(module)
    return circles


def test_no_chain_of_imports_comes_back() -> None:
    graph = grimp.build_graph("cxrlens", exclude_type_checking_imports=False, cache_dir=None)
    assert len(graph.modules) > 150
    assert _circles(graph) == []


def test_a_circle_is_seen() -> None:
    graph = grimp.ImportGraph()
    for importer, imported in (("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")):
        graph.add_import(importer=importer, imported=imported)
    assert _circles(graph) == [{"b", "c"}]
