"""Constants of an OpenVINO IR (version 10: an XML graph and a file of numbers), read without OpenVINO.

Only what finding weights needs: which constant feeds which operation. Nothing of the graph is run.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from frontalbench.errors import WeightsMissing


@dataclass(frozen=True)
class Node:
    """One operation: ``kind`` (the IR's type), ``name``, and the places of the operations that feed it, by port."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    data: dict[str, str]


class Graph:
    """The operations of a network by their id, and the float32 constants behind them."""

    def __init__(self, graph: str | os.PathLike[str], numbers: str | os.PathLike[str]) -> None:
        """Raises :class:`WeightsMissing` when ``graph`` is no IR."""
        self._path = Path(graph)
        try:
            root = ElementTree.parse(graph).getroot()
        except ElementTree.ParseError as error:
            raise WeightsMissing(f"{graph}: not an OpenVINO graph ({error}); fetch the weights again") from error
        self._numbers = Path(numbers).read_bytes()
        feeds: dict[str, dict[int, str]] = {}
        for edge in root.iter("edge"):
            feeds.setdefault(edge.attrib["to-layer"], {})[int(edge.attrib["to-port"])] = edge.attrib["from-layer"]
        self.nodes: dict[str, Node] = {}
        for layer in root.iter("layer"):
            data: Any = layer.find("data")
            place = layer.attrib["id"]
            inputs = tuple(feeds[place][port] for port in sorted(feeds[place])) if place in feeds else ()
            self.nodes[place] = Node(layer.attrib["type"], layer.attrib["name"], inputs, {} if data is None else dict(data.attrib))
        self._by_name = {node.name: place for place, node in self.nodes.items()}

    def named(self, name: str) -> str:
        """The id of the operation called ``name``. Raises :class:`WeightsMissing`."""
        if name not in self._by_name:
            raise WeightsMissing(f"{self._path}: no '{name}' in this network; fetch the weights again")
        return self._by_name[name]

    def reader(self, place: str, kind: str = "Add") -> str:
        """The id of the first operation of type ``kind`` that reads ``place``."""
        return next(number for number, node in self.nodes.items() if node.kind == kind and place in node.inputs)

    def value(self, place: str) -> npt.NDArray[np.float32]:
        """The float32 constant ``place``. Raises :class:`WeightsMissing` for anything else."""
        node = self.nodes[place]
        if node.kind != "Const" or node.data.get("element_type") != "f32":
            raise WeightsMissing(f"{self._path}: '{node.name}' is no float32 constant; fetch the weights again")
        start, size = int(node.data["offset"]), int(node.data["size"])
        shape = [int(part) for part in node.data["shape"].split(",") if part.strip()]
        return np.frombuffer(self._numbers[start : start + size], np.float32).reshape(shape)

    def constant(self, name: str) -> npt.NDArray[np.float32]:
        """The float32 constant called ``name``."""
        return self.value(self.named(name))

    def constant_input(self, place: str) -> npt.NDArray[np.float32] | None:
        """The float32 constant among the inputs of ``place``, directly or reshaped; None where there is none."""
        for source in self.nodes[place].inputs:
            if self.nodes[source].kind == "Reshape":
                source = self.nodes[source].inputs[0]
            if self.nodes[source].kind == "Const":
                return self.value(source)
        return None

    def other_input(self, place: str) -> str:
        """The input of ``place`` that is not a constant."""
        return next(source for source in self.nodes[place].inputs if self.nodes[source].kind != "Const")
