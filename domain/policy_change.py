"""What differs between two policies, and whether one can rule an incident that has begun."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from domain.incident import Frozen, IncidentState
from domain.maintenance import is_maintenance
from domain.policy import Policy

# A list of words may be as long as a page; the log shall be read by people.
SHOWN = 200
# Lists whose items have a name of their own are compared by it, so that a new first rule does not
# look as if all had changed.
_NAMES = ("key", "reason")


class PolicyChange(Frozen):
    """One value that changed; None where there was, or is, nothing."""

    path: str
    old: str | None
    new: str | None


def changes(old: Policy, new: Policy) -> tuple[PolicyChange, ...]:
    """Every value that differs, by path, in the order of the file; long values are cut."""
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    return tuple(
        PolicyChange(path=path, old=_shown(was), new=_shown(now))
        for path, was, now in _differences("", before, after)
    )


def unfit(policy: Policy, state: IncidentState) -> tuple[str, ...]:
    """What the incident uses and the policy lacks, one sentence each; empty: it can rule it."""
    missing: list[str] = []
    if state.category not in policy.categories:
        missing.append(f"it has no category {state.category!r}")
    if is_maintenance(state.id) and policy.maintenance is None:
        missing.append("it plans no maintenance")
    known = policy.component_keys()
    missing += [f"it has no component {key!r}" for key in state.components if key not in known]
    missing += [f"it has no region {key!r}" for key in state.regions if key not in policy.regions]
    category = policy.categories.get(state.category)
    if category is not None and not policy.people.roles.get(category.approver_role):
        missing.append(f"nobody holds the role {category.approver_role!r}, which approves")
    if "commander" in state.people and "commander" not in policy.people.roles:
        missing.append("it has no role 'commander', which somebody took over here")
    return tuple(missing)


def _differences(path: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(k for k in new if k not in old)]:
            where = f"{path}.{key}" if path else str(key)
            yield from _differences(where, old.get(key), new.get(key))
        return
    if isinstance(old, list) and isinstance(new, list):
        names = _by_name(old), _by_name(new)
        if names[0] is not None and names[1] is not None:
            was, now = _kept(names[0], names[1]), _kept(names[1], names[0])
            if was != now:
                # The first rule that holds decides, so that their order is a rule too.
                yield f"{path} (order)", was, now
            yield from _differences(path, names[0], names[1])
            return
        if len(old) == len(new) and any(isinstance(item, dict) for item in old):
            for index, (one, other) in enumerate(zip(old, new, strict=True)):
                yield from _differences(f"{path}.{index}", one, other)
            return
    yield path, old, new


def _by_name(items: Sequence[Any]) -> dict[str, Any] | None:
    """The items by their name; None where they have none, or two share one."""
    for name in _NAMES:
        found = [item.get(name) for item in items if isinstance(item, dict)]
        if len(found) == len(items) == len(set(found)) and None not in found and items:
            return dict(zip((f"[{n}]" for n in found), items, strict=True))
    return None


def _kept(names: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [name.strip("[]") for name in names if name in other]


def _shown(value: Any) -> str | None:
    """A value in short: as it stands in the file, lists in square brackets."""
    if value is None:
        return None
    text = _plain(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        given = {key: item for key, item in value.items() if item is not None}
        return "{" + ", ".join(f"{key}: {_plain(item)}" for key, item in given.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_plain(item) for item in value) + "]"
    return "none" if value is None else str(value)
