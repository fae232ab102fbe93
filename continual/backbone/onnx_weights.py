"""The tensors and the graph of an ONNX file, without the `onnx` package.

An ONNX file is a protocol buffer, of which weights need four messages and a dozen fields (onnx.proto of the ONNX
standard): ModelProto.graph (7), GraphProto.node (1) and .initializer (5), NodeProto.input (1), .output (2), .name (3)
and .op_type (4), TensorProto.dims (1), .data_type (2), .float_data (4), .int32_data (5), .name (8) and .raw_data (9).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from continual.errors import BackboneError

_TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}


@dataclass(frozen=True)
class Node:
    """An operation of the graph.

    Attributes:
        operation: What it does, such as `MatMulInteger`.
        name: Its name.
        inputs: The names of its inputs.
        outputs: The names of its outputs.
    """

    operation: str
    name: str
    inputs: list[str]
    outputs: list[str]


@dataclass(frozen=True)
class Graph:
    """What an ONNX file holds.

    Attributes:
        nodes: The operations in their order.
        tensors: The constants by name.
    """

    nodes: list[Node]
    tensors: dict[str, np.ndarray]


def read_onnx(path: Path) -> Graph:
    """Reads an ONNX file whose tensors lie inside it.

    Raises:
        BackboneError: It is not such a file.
    """
    try:
        model = memoryview(path.read_bytes())
        graph = next(value for number, value in _fields(model) if number == 7)
        parts = list(_fields(graph))
        tensors = dict(_tensor(value) for number, value in parts if number == 5)
        return Graph([_node(value) for number, value in parts if number == 1], tensors)
    except (OSError, ValueError, IndexError, KeyError, StopIteration) as error:
        raise BackboneError(
            f"Could not read {path} as an ONNX file with its tensors inside ({error}); install its package anew."
        ) from error


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The numbers and values of a message's fields."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _varint(message, place)
            yield number, value
            continue
        if kind == _BYTES:
            size, place = _varint(message, place)
        else:
            size = _SIZES[kind]
        if place + size > len(message):
            raise ValueError("it ends too early")
        yield number, message[place : place + size]
        place += size


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place


def _node(message: memoryview) -> Node:
    texts: dict[int, list[str]] = {1: [], 2: [], 3: [""], 4: [""]}
    for number, value in _fields(message):
        if number in texts:
            texts[number].append(str(value, "utf-8"))
    return Node(texts[4][-1], texts[3][-1], texts[1], texts[2])


def _tensor(message: memoryview) -> tuple[str, np.ndarray]:
    shape: list[int] = []
    kind, name, values = 0, "", np.zeros(0)
    for number, value in _fields(message):
        if number == 1:
            shape += _whole_numbers(value)
        elif number == 2:
            kind = value
        elif number == 4:
            values = np.concatenate([values, np.frombuffer(value, dtype=np.float32)])
        elif number == 5:
            values = np.concatenate([values, _whole_numbers(value)])
        elif number == 8:
            name = str(value, "utf-8")
        elif number == 9:
            values = np.frombuffer(value, dtype=_TYPES.get(kind, np.uint8))
    if kind not in _TYPES:
        return name, np.zeros(0)  # constants of other types are no weights
    return name, values.astype(_TYPES[kind], copy=False).reshape(shape)


def _whole_numbers(value: int | memoryview) -> list[int]:
    """One number, or several that are packed; negative ones are written as two's complement of 64 bits."""
    if isinstance(value, int):
        return [value]
    numbers, place = [], 0
    while place < len(value):
        number, place = _varint(value, place)
        numbers.append(number - (1 << 64) if number >> 63 else number)
    return numbers
