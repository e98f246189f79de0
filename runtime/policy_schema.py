"""What is said about a policy file from the models that read it.

    python -m runtime.policy_schema [--check]

writes the JSON Schema for editors to `content/policy/schema.json`, and the list of sections into
docs/policy.md. With --check nothing is written, and a stale file is exit code 1.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from domain.policy import Policy
from runtime.docs import fill

ROOT = Path(__file__).parent.parent
PATH = ROOT / "content" / "policy" / "schema.json"
GUIDE = ROOT / "docs" / "policy.md"
SECTIONS = ROOT / "content" / "policy_sections.yaml"
RENEW = "python -m runtime.policy_schema"
DURATION = {
    "type": "string",
    "pattern": r"^(\d+(\.\d+)?[smhdw])+$",
    "examples": ["20s", "30m", "1h30m", "48h", "1w"],
    "description": "A length of time: a figure and s, m, h, d or w.",
}


class _Schema(GenerateJsonSchema):
    """Durations as people write them, where pydantic would ask for ISO 8601."""

    def timedelta_schema(self, schema: core_schema.TimedeltaSchema) -> JsonSchemaValue:
        return dict(DURATION)


def policy_schema() -> dict[str, Any]:
    """The schema; every key may be left out, because a file may `extends` another."""
    made = Policy.model_json_schema(schema_generator=_Schema, mode="validation")
    made["properties"]["extends"] = {
        "type": "string",
        "examples": ["default.yaml"],
    }
    # `policy check` says what is missing once the files are merged; an editor sees only one.
    made.pop("required", None)
    for key, text in section_texts().items():
        if key in made["properties"]:
            # Beside a reference too: editors show what stands nearest.
            made["properties"][key]["description"] = text
    for section in (made, *made.get("$defs", {}).values()):
        _tidy(section)
    _relax(made)
    made = _shared(made)
    made["$defs"]["Duration"] = DURATION
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def policy_schema_text() -> str:
    """The schema as the file has it."""
    return json.dumps(policy_schema(), indent=2, ensure_ascii=False) + "\n"


def section_texts() -> dict[str, str]:
    """Section → what it is for, in the order of the file."""
    given: dict[str, str] = yaml.safe_load(SECTIONS.read_text("utf-8"))
    texts = {"extends": given["extends"]}
    for key, field in Policy.model_fields.items():
        text = given.get(key) or field.description or _doc(field.annotation)
        texts[key] = text
    return texts


def _doc(annotation: Any) -> str:
    """The first sentence of the model that a section is made of."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            text = " ".join((kind.__doc__ or "").split())
            return text.partition(". ")[0].rstrip(".") + "."
    return ""


def guide_text() -> str:
    """docs/policy.md with its list of sections up to date."""
    rows = "".join(f"| `{key}` | {text} |\n" for key, text in section_texts().items())
    table = f"| Section | What it says |\n| --- | --- |\n{rows}"
    return fill(GUIDE.read_text("utf-8"), {"sections": table})


def _tidy(section: dict[str, Any]) -> None:
    """Descriptions in one line and without the titles that only repeat the key."""
    if "description" in section:
        section["description"] = " ".join(section["description"].split())
    for value in section.get("properties", {}).values():
        if isinstance(value, dict):
            value.pop("title", None)
            _untitled(value)


def _untitled(node: Any) -> None:
    if isinstance(node, dict):
        if isinstance(node.get("title"), str):
            node.pop("title")
        for value in node.values():
            _untitled(value)
    elif isinstance(node, list):
        for value in node:
            _untitled(value)


def _shared(node: Any) -> Any:
    """The same with one definition of what a length of time is."""
    if node == DURATION:
        return {"$ref": "#/$defs/Duration"}
    if isinstance(node, dict):
        return {key: _shared(value) for key, value in node.items()}
    return [_shared(item) for item in node] if isinstance(node, list) else node


def _relax(made: dict[str, Any]) -> None:
    """Sections that a file on top of another may give in part."""
    definitions = made["$defs"]
    for name in _mapped(made, definitions):
        definitions[name].pop("required", None)


def _mapped(made: dict[str, Any], definitions: dict[str, Any]) -> set[str]:
    """The definitions reached by mappings alone, which are merged; items of lists are whole."""
    found: set[str] = set()
    todo: list[Any] = [made["properties"]]
    while todo:
        node = todo.pop()
        if not isinstance(node, dict):
            continue
        reference = node.get("$ref")
        if isinstance(reference, str):
            name = reference.rpartition("/")[2]
            if name not in found and "properties" in definitions[name]:
                found.add(name)
                todo.append(definitions[name]["properties"])
            continue
        # `items` of a list are not followed.
        todo += [value for key, value in node.items() if key not in ("items", "prefixItems")]
        todo += node.get("anyOf", [])
    return found


def main(arguments: Sequence[str]) -> int:
    """Write or check both files; returns the exit code."""
    wanted = {PATH: policy_schema_text(), GUIDE: guide_text()}
    stale = [p for p, text in wanted.items() if not p.is_file() or p.read_text("utf-8") != text]
    for path in stale:
        name = path.relative_to(ROOT)
        if "--check" in arguments:
            sys.stderr.write(f"{name}: stale; run `{RENEW}`\n")
        else:
            path.write_text(wanted[path], encoding="utf-8")
            sys.stdout.write(f"{name}: written\n")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
