"""Walks a type of a request: every member that can hold text, and a body that has it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

VALUE = "obj_1"
TEXTS = (str, Any, object)


@dataclass(frozen=True, slots=True)
class Step:
    """One step from the body inwards: a member of an object, or an item of a list.

    `beside` are the members that the object may have only few values for, such as its type, with these.
    """

    name: str | None
    beside: tuple[tuple[str, tuple[Any, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Leaf:
    """A member that can hold text, of the object type `holder`. `may_be_object` when an object may be in its place."""

    holder: str
    name: str
    steps: tuple[Step, ...]
    in_list: bool
    may_be_object: bool
    is_pure_reference: bool

    @property
    def key(self) -> str:
        """How tables name it."""
        return f"{self.holder}.{self.name}"

    def bodies(self) -> Iterator[tuple[dict[str, Any], Any]]:
        """The smallest bodies with this member, one for each type that its object may have, with that type."""
        members = [position for position, step in enumerate(self.steps) if step.name is not None]
        own = dict(self.steps[members[-1]].beside)
        for kind in own.get("type", (None,)):
            value: Any = VALUE
            for position, step in reversed(list(enumerate(self.steps))):
                if step.name is None:
                    value = [value]
                    continue
                beside = {name: options[0] for name, options in step.beside}
                if position == members[-1] and kind is not None:
                    beside["type"] = kind
                value = {**beside, step.name: value}
            yield value, kind


def leaves(request: Any) -> Iterator[Leaf]:
    """The text members of a request's type; each object type is visited once."""
    waiting: list[tuple[Any, tuple[Step, ...]]] = [(request, ())]
    seen: set[Any] = set()
    while waiting:
        kind, steps = waiting.pop(0)
        if kind in seen:
            continue
        seen.add(kind)
        members = _members(kind)
        beside = tuple((name, options) for name, inner in members.items() if (options := _literals(inner)))
        for name, inner in members.items():
            others = tuple(pair for pair in beside if pair[0] != name)
            ends = list(_ends(inner, (*steps, Step(name, others))))
            objects = [end for end, _ in ends if _is_object(end)]
            waiting += [(end, path) for end, path in ends if _is_object(end)]
            for end, path in ends:
                if end in TEXTS:
                    in_list = len(steps) > 0 and steps[-1].name is None
                    may_be_object = any(_is_name(each) for each in objects)
                    pure = "id" in _required(kind) <= {"id", "type", "status"}
                    yield Leaf(_name(kind), name, path, in_list, may_be_object, pure)
                    break


def _is_name(kind: Any) -> bool:
    """True for an object that needs nothing but its id."""
    return "id" in _members(kind) and _required(kind) <= {"id", "type"}


def _name(kind: Any) -> str:
    return str(kind.__name__)


def _is_object(kind: Any) -> bool:
    return isinstance(kind, type) and (hasattr(kind, "model_fields") or hasattr(kind, "__required_keys__"))


def _members(kind: Any) -> dict[str, Any]:
    if hasattr(kind, "model_fields"):
        return {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
    return get_type_hints(kind, include_extras=True)


def _required(kind: Any) -> set[str]:
    if hasattr(kind, "model_fields"):
        return {field.alias or name for name, field in kind.model_fields.items() if field.is_required()}
    # Not `__required_keys__`, which is wrong where annotations are text.
    marks = {name: getattr(get_origin(inner), "_name", "") for name, inner in _members(kind).items()}
    return {name for name, mark in marks.items() if mark == "Required" or (kind.__total__ and mark != "NotRequired")}


def _literals(kind: Any) -> tuple[Any, ...]:
    """The values of a member that has but few, such as a type."""
    kind = _bare(kind)
    return get_args(kind) if get_origin(kind) is Literal else ()


def _ends(kind: Any, steps: tuple[Step, ...]) -> Iterator[tuple[Any, tuple[Step, ...]]]:
    """The objects and plain values that a member may have, through unions, lists and maps."""
    kind = _bare(kind)
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        for each in inner:
            yield from _ends(each, steps)
    elif origin is Literal:
        yield Literal, steps
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        yield from _ends(inner[1], (*steps, Step("any"))) if len(inner) > 1 else ()
    elif isinstance(origin, type) and issubclass(origin, Iterable):
        for each in inner:
            yield from _ends(each, (*steps, Step(None)))
    else:
        yield kind, steps


def _bare(kind: Any) -> Any:
    """`kind` without what wraps it: Required, Annotated, names of types."""
    while True:
        origin = get_origin(kind)
        value = getattr(origin if origin is not None else kind, "__value__", None)
        if value is not None:
            parameters, given = getattr(value, "__parameters__", ()), get_args(kind)
            kind = value[given] if parameters and given else value
        elif origin is Annotated or getattr(origin, "_name", "") in ("Required", "NotRequired", "ReadOnly"):
            kind = get_args(kind)[0]
        elif isinstance(kind, TypeVar):
            return Any
        else:
            return kind
