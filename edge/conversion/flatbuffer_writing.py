"""Writes a model, as objects of the schema, as the content of a .tflite file without what nothing uses."""

from __future__ import annotations

import copy
from typing import Any

from edge.conversion.sharing_builder import SharingBuilder
from edge.formats.tflite_reader import IDENTIFIER


def written(model: Any) -> bytes:
    """Returns the content of a .tflite file; buffers and operator codes that nothing uses are left out.

    Args:
        model: The schema's `ModelT`; it stays as it is.
    """
    packed = copy.copy(model)
    kept: dict[int, int] = {0: 0}  # buffer 0 is the empty one, by TFLite's convention
    used = sorted({operator.opcodeIndex for graph in model.subgraphs for operator in graph.operators})
    packed.operatorCodes = [model.operatorCodes[number] for number in used]
    packed.subgraphs = []
    for original in model.subgraphs:
        graph = copy.copy(original)
        graph.tensors, graph.operators = [], []
        for operator in original.operators:
            renumbered = copy.copy(operator)
            renumbered.opcodeIndex = used.index(operator.opcodeIndex)
            graph.operators.append(renumbered)
        for tensor in original.tensors:
            moved = copy.copy(tensor)
            moved.buffer = kept.setdefault(tensor.buffer, len(kept))
            graph.tensors.append(moved)
        packed.subgraphs.append(graph)
    metadata = []
    for entry in packed.metadata or []:
        moved = copy.copy(entry)
        moved.buffer = kept.setdefault(entry.buffer, len(kept))
        metadata.append(moved)
    packed.metadata = metadata or None
    packed.metadataBuffer = None
    packed.signatureDefs = packed.signatureDefs or None
    packed.buffers = [model.buffers[number] for number in kept]
    builder = SharingBuilder(1024)
    builder.Finish(packed.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())
