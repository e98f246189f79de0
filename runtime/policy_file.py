"""Reading a policy file: a wrong one is refused with its path, the value and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from domain.errors import BadInput, FieldError
from domain.policy import Policy
from domain.policy_check import contradictions

# A wrong value may be a whole section.
SHOWN = 80


def load_policy(path: Path) -> Policy:
    """The policy in a YAML file; raises BadInput whose message has one line per fault."""
    return read_policy(whole_file(path))


def read_policy(content: Mapping[str, Any]) -> Policy:
    """The policy in what a file holds; raises BadInput whose message has one line per fault."""
    try:
        policy = Policy.model_validate(content)
    except ValidationError as error:
        raise _refusal(_fault(dict(item)) for item in error.errors(include_url=False)) from None
    faults = contradictions(policy)
    if faults:
        raise _refusal(faults)
    return policy


def whole_file(path: Path, below: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A file's content on top of the file that it `extends`: mappings merge, all else replaces."""
    content = _parse(path)
    if not isinstance(content, dict):
        raise BadInput(f"{path}: got {type(content).__name__}; allowed: a mapping of policy keys")
    base = content.pop("extends", None)
    if base is None:
        return content
    other = path.parent / str(base)
    if other.resolve() in (p.resolve() for p in (path, *below)):
        raise BadInput(f"{path}: extends: got {base}; allowed: a file that does not lead back here")
    return _merged(whole_file(other, (*below, path)), content)


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {k: (base[k], over[k]) for k in base.keys() & over.keys()}
    deep = {
        k: _merged(old, new)
        for k, (old, new) in both.items()
        if isinstance(old, dict) and isinstance(new, dict)
    }
    return base | over | deep


# The one in C reads the shipped file in a tenth of a second, the other takes a whole one.
_Safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Safe):  # type: ignore[misc]  # which of the two it is, only the machine knows
    """YAML in which a key may stand only once; the standard one silently keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                continue
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands here twice", key_node.start_mark
                )
            seen.add(key)
        made: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return made


# YAML 1.1 also reads `no`, `on` and `yes` as booleans; in a policy they are words and locales.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))


def _parse(path: Path) -> object:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: byte {error.start + 1} is not UTF-8") from None
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise BadInput(f"{path}{where}: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise BadInput(f"{path}: {' '.join(str(error).split())}") from None


def _refusal(faults: Iterable[FieldError]) -> BadInput:
    errors = list(faults)
    lines = [
        f"{e.field}: {e.allowed}" if e.value is None else f"{e.field}: got {e.value}; {e.allowed}"
        for e in (e.model_copy(update={"allowed": f"allowed: {e.allowed}"}) for e in errors)
    ]
    return BadInput("\n".join(lines), errors)


def _fault(error: dict[str, Any]) -> FieldError:
    """One fault in words; pydantic leaves out which keys would have been allowed."""
    loc, message = error["loc"], error["msg"].removeprefix("Value error, ")
    if not loc:
        field, _, rest = message.partition(": ")
        found, _, allowed = rest.rpartition("; allowed: ")
        return FieldError(field=field, value=found or None, allowed=allowed)
    field = ".".join(str(part) for part in loc)
    if error["type"] == "extra_forbidden":
        known = ", ".join(_keys_at(Policy, loc[:-1]))
        return FieldError(field=field, value="an unknown key", allowed=known)
    if error["type"] == "missing":
        return FieldError(field=field, value="nothing", allowed="a value; the key is required")
    allowed = message.removeprefix("allowed: ").removeprefix("Input should be ")
    return FieldError(field=field, value=repr(error["input"])[:SHOWN], allowed=allowed)


def _keys_at(annotation: Any, loc: tuple[int | str, ...]) -> list[str]:
    """The keys of the model that stands at a place below `annotation`."""
    for model in _models(annotation):
        if not loc:
            return sorted(model.model_fields)
        if isinstance(loc[0], str) and loc[0] in model.model_fields:
            return _keys_at(model.model_fields[loc[0]].annotation, loc[1:])
    # An index of a list or a key of a mapping: the model is one step further.
    return _keys_at(annotation, loc[1:]) if loc else []


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, UnionType, tuple, dict):
        for argument in get_args(annotation):
            yield from _models(argument)
