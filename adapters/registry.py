"""Finds the adapters by looking into the folders under `adapters/`; there is no list to edit."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path

from adapters.base import KINDS, AdapterSpec

# The stores are no vendor.
NOT_SCANNED = frozenset({"db"})


class DuplicateAdapter(RuntimeError):
    """Two files claim the same kind and name."""


def collect(found: list[tuple[str, AdapterSpec]]) -> dict[tuple[str, str], AdapterSpec]:
    """The specs by kind and name; `found` pairs each with its module. Refuses duplicates."""
    specs: dict[tuple[str, str], AdapterSpec] = {}
    owners: dict[tuple[str, str], str] = {}
    for module, spec in found:
        key = (spec.kind, spec.name)
        if spec.kind not in KINDS:
            raise ValueError(f"{module}: kind {spec.kind!r}; allowed: {', '.join(KINDS)}")
        if key in specs:
            raise DuplicateAdapter(
                f"{spec.kind} {spec.name!r} is claimed by {owners[key]} and by {module}"
            )
        specs[key], owners[key] = spec, module
    return specs


@cache
def modules() -> dict[tuple[str, str], str]:
    """Kind and name → the module that holds the adapter."""
    return {(spec.kind, spec.name): module for module, spec in _scan()}


@cache
def _specs() -> dict[tuple[str, str], AdapterSpec]:
    return collect(list(_scan()))


@cache
def _scan() -> tuple[tuple[str, AdapterSpec], ...]:
    root = Path(__file__).parent
    found = []
    for folder in sorted(p for p in root.iterdir() if (p / "__init__.py").is_file()):
        if folder.name in NOT_SCANNED:
            continue
        for item in pkgutil.iter_modules([str(folder)]):
            name = f"adapters.{folder.name}.{item.name}"
            spec = getattr(importlib.import_module(name), "ADAPTER", None)
            # A module without the constant is a helper of its neighbours.
            if isinstance(spec, AdapterSpec):
                found.append((name, spec))
    return tuple(found)


def all_adapters() -> tuple[AdapterSpec, ...]:
    """Every adapter, ordered by kind and name."""
    return tuple(spec for _, spec in sorted(_specs().items()))


def monitors() -> tuple[AdapterSpec, ...]:
    """Every source of alerts."""
    return tuple(spec for spec in all_adapters() if spec.kind == "monitor")


def get(kind: str, name: str) -> AdapterSpec:
    """One adapter; KeyError names those there are."""
    try:
        return _specs()[(kind, name)]
    except KeyError:
        known = ", ".join(s.name for s in all_adapters() if s.kind == kind) or "none"
        raise KeyError(f"no {kind} adapter {name!r}; there are: {known}") from None
