"""Operations that move elements: views, joins, slices, gathers; all others are calls."""

from collections.abc import Callable, Sequence
from typing import Any

from bayescale.inference.kernel.body import Body
from bayescale.inference.kernel.elements import Elements, at
from bayescale.inference.kernel.elementwise import write_elementwise, write_sum


def write(body: Body, node: Any) -> None:
    """Write an operation of a graph: as statements if these are implemented, else as a call."""
    in_loops = _WRITERS.get(type(node.op).__name__)
    if in_loops is None or not in_loops(body, node):
        _call(body, node)


def _call(body: Body, node: Any) -> None:
    """Write a call of PyTensor's own function."""
    function = body.pytensor_function(node.op, node)
    given = []
    for x in node.inputs:
        value = body.whole(x)
        given.append(f"np.asarray({value})" if _is_array_of_one(x) else value)
    names = [body.new_name() for _ in node.outputs]
    body.write_line(f"{', '.join(names)} = {function}({', '.join(given)})")
    for name, out in zip(names, node.outputs, strict=True):
        if _is_array_of_one(out):
            body[out] = Elements(f"{name}.item()")
        else:
            body.set_array(out, name)


def _is_array_of_one(variable: Any) -> bool:
    """Return whether PyTensor holds a scalar in an array without axes."""
    from pytensor.tensor.type import TensorType

    return isinstance(variable.type, TensorType) and variable.type.ndim == 0


# Other views of the same elements.


def _dim_shuffle(body: Body, node: Any) -> bool:
    elements, order = body[node.inputs[0]], node.op.new_order
    places = ["0"] * len(elements.lengths)
    for axis, source in enumerate(order):
        if source != "x":
            places[source] = f"{{{axis}}}"
    lengths = ["1" if source == "x" else elements.lengths[source] for source in order]
    body[node.outputs[0]] = elements.view(places, lengths)
    return True


def _same(body: Body, node: Any) -> bool:
    body[node.outputs[0]] = body[node.inputs[0]]
    return True


def _shape(body: Body, node: Any) -> bool:
    body[node.outputs[0]] = Elements(body[node.inputs[0]].lengths[node.op.i])
    return True


def _alloc(body: Body, node: Any) -> bool:
    elements, shape = body[node.inputs[0]], [body[x] for x in node.inputs[1:]]
    first = len(shape) - len(elements.lengths)
    places = [f"{{{first + axis}}}" for axis in range(len(elements.lengths))]
    body[node.outputs[0]] = elements.view(places, [x.expression for x in shape])
    return True


def _arange(body: Body, node: Any) -> bool:
    start, stop, step = (body[x].expression for x in node.inputs)
    if (start, step) != ("0", "1"):
        return False
    body[node.outputs[0]] = Elements("{0}", (f"max(0, {stop})",))
    return True


# New arrays of given elements.


def _make_vector(body: Body, node: Any) -> bool:
    name = body.new_array([str(len(node.inputs))], node.outputs[0].type.dtype)
    for place, x in enumerate(node.inputs):
        body.write_line(f"{name}[{place}] = {body[x].expression}")
    body.set_array(node.outputs[0], name)
    return True


def _join(body: Body, node: Any) -> bool:
    parts = [body[x] for x in node.inputs]
    if any(len(part.lengths) != 1 for part in parts):
        return False
    total = " + ".join(part.lengths[0] for part in parts)
    name, done = body.new_array([total], node.outputs[0].type.dtype), body.assign("0")
    for part in parts:
        with body.loops(part.lengths) as (place,):
            body.write_line(f"{name}[{done} + {place}] = {part.at([place])}")
        done = body.assign(f"{done} + {part.lengths[0]}")
    body.set_array(node.outputs[0], name)
    return True


# Slices, whose bounds are constants, and gathers along one axis.


def _subtensor(body: Body, node: Any) -> bool:
    elements = body[node.inputs[0]]
    found = _sliced(body, node.op.idx_list, node.inputs[1:], elements)
    if found is None:
        return False
    body[node.outputs[0]] = elements.view(*found)
    return True


def _inc_subtensor(body: Body, node: Any) -> bool:
    x, y, *given = node.inputs
    elements = body[x]
    found = _sliced(body, node.op.idx_list, given, elements)
    if found is None:
        return False
    name, (there, lengths) = body.copy(x), found
    with body.loops(lengths) as places:
        value = _broadcast(body, y, places)
        _put(body, node, name, [place.format(*places) for place in there], value)
    body[node.outputs[0]] = Elements.of_array(name, elements.lengths)
    return True


def _sliced(
    body: Body, indices: Sequence[Any], given: Sequence[Any], elements: Elements
) -> tuple[list[str], list[str]] | None:
    """Return the places of a slice and its lengths, or None where they are not constant."""
    places: list[str] = []
    lengths: list[str] = []
    for axis, length in enumerate(elements.lengths):
        index = indices[axis] if axis < len(indices) else slice(None)
        if isinstance(index, slice):
            start, stop, step = (
                default if part is None else body[given[part]].expression
                for part, default in zip(
                    (index.start, index.stop, index.step), ("0", length, "1"), strict=True
                )
            )
            if (start, stop, step) == ("0", length, "1"):
                places.append(f"{{{len(lengths)}}}")
                lengths.append(length)
                continue
            if not all(part.isdigit() for part in (start, stop, step, length)) or step != "1":
                return None
            stop = str(min(int(stop), int(length)))
            places.append(f"{start} + {{{len(lengths)}}}")
            lengths.append(str(max(0, int(stop) - int(start))))
        else:
            place = body[given[index]].expression
            if not place.isdigit():
                return None
            places.append(place)
    return places, lengths


def _advanced_subtensor(body: Body, node: Any) -> bool:
    x, *indices = node.inputs
    axis = _gathered(node.op.idx_list, indices)
    if axis is None:
        return False
    name, index = body.whole(x), body[indices[0]]
    lengths = list(body[x].lengths)
    places = [f"{{{i}}}" for i in range(len(lengths))]
    places[axis], lengths[axis] = index.at([f"{{{axis}}}"]), index.lengths[0]
    body[node.outputs[0]] = Elements(at(name, places), tuple(lengths))
    return True


def _advanced_inc_subtensor(body: Body, node: Any) -> bool:
    x, y, *indices = node.inputs
    axis = _gathered(node.op.idx_list, indices)
    if axis is None:
        return False
    elements, index = body[x], body[indices[0]]
    name, lengths = body.copy(x), list(elements.lengths)
    lengths[axis] = index.lengths[0]
    with body.loops(lengths) as places:
        there = list(places)
        there[axis] = index.at([places[axis]])
        _put(body, node, name, there, _broadcast(body, y, places))
    body[node.outputs[0]] = Elements.of_array(name, elements.lengths)
    return True


def _gathered(indices: Sequence[Any], given: Sequence[Any]) -> int | None:
    """Return the axis that a vector of indices selects from, if no other axis is indexed."""
    axes = [axis for axis, index in enumerate(indices) if not isinstance(index, slice)]
    whole = all(i == slice(None) for i in indices if isinstance(i, slice))
    return axes[0] if len(axes) == 1 and whole and given[0].ndim == 1 else None


def _broadcast(body: Body, variable: Any, places: Sequence[str]) -> str:
    elements = body[variable]
    return elements.at(places[len(places) - len(elements.lengths) :])


def _put(body: Body, node: Any, name: str, places: Sequence[str], value: str) -> None:
    sign = "=" if node.op.set_instead_of_inc else "+="
    body.write_line(f"{at(name, places)} {sign} {value}")


_WRITERS: dict[str, Callable[[Body, Any], bool]] = {
    "Elemwise": write_elementwise,
    "Sum": write_sum,
    **dict.fromkeys(("DimShuffle", "Squeeze", "ExpandDims", "Transpose"), _dim_shuffle),
    **dict.fromkeys(("ScalarFromTensor", "TensorFromScalar", "SpecifyShape"), _same),
    "Shape_i": _shape,
    "Alloc": _alloc,
    "ARange": _arange,
    "MakeVector": _make_vector,
    "Join": _join,
    "Subtensor": _subtensor,
    "IncSubtensor": _inc_subtensor,
    "AdvancedSubtensor": _advanced_subtensor,
    "AdvancedIncSubtensor": _advanced_inc_subtensor,
}
"""By the name of an operation's class: what writes it, and returns False for a form of it that
loops do not express."""
