"""The made-up incidents of the gallery, from `content/gallery/facts.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from domain.errors import BadInput, FieldError
from domain.message import Facts, Moment, Recipient
from domain.policy import Policy
from domain.signal import Severity

V = TypeVar("V")
# An id that no incident can have: real ones are random.
INCIDENT = "inc_gallery"
MAINTENANCE = "mnt_gallery"
PUBLIC_URL = "https://status.acme.example"


OF_MAINTENANCE = tuple(m for m in Moment if m.startswith("maintenance"))
OF_INCIDENTS = tuple(m for m in Moment if m not in OF_MAINTENANCE)


class Part(BaseModel):
    """A section of the file: unknown keys are refused, so that a misspelt fact is not lost."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Reader(Part):
    name: str
    timezone: str


class Case(Part):
    """One made-up incident; `names` replaces what the policy calls its components."""

    title: str
    severity: Severity
    stage: str
    category: str
    number: int = 1
    moments: tuple[Moment, ...] = OF_INCIDENTS
    holding: bool = False
    named: bool = True
    components: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    times: dict[str, AwareDatetime] = Field(default_factory=dict)
    numbers: dict[str, float] = Field(default_factory=dict)
    notes: dict[str, str] = Field(default_factory=dict)
    links: tuple[Literal["status", "incident", "report", "object"], ...] = ()


class Cases(Part):
    """The whole file; `only` names facts that do not exist before certain moments."""

    now: AwareDatetime
    readers: dict[str, Reader]
    stages: dict[Moment, str] = Field(default_factory=dict)
    only: dict[str, tuple[Moment, ...]] = Field(default_factory=dict)
    cases: Annotated[dict[str, Case], Field(min_length=1)]

    def facts(self, name: str, moment: Moment, policy: Policy, public_url: str) -> Facts:
        """What is known of one incident when a moment of it is said."""
        case = self.cases[name]
        unknown = sorted(set(case.components) - policy.component_keys())
        if unknown:
            visible = ", ".join(c.key for c in policy.component_list() if c.visible)
            field = f"cases.{name}.components"
            raise BadInput(
                f"{field}: got {unknown[0]!r}; allowed: {visible}",
                [FieldError(field=field, value=unknown[0], allowed=visible)],
            )
        ours, folder = INCIDENT, "incidents"
        if moment in OF_MAINTENANCE:
            ours, folder = MAINTENANCE, "maintenance"
        urls = {
            "status": public_url,
            "incident": f"{public_url}/{folder}/{ours}",
            "report": f"{public_url}/{folder}/{ours}/report",
            "object": f"{public_url}/object",
        }
        numbers: dict[str, float] = {"update_number": case.number}
        return Facts(
            incident_id=ours,
            moment=moment,
            number=case.number,
            severity=case.severity,
            stage=self.stages.get(moment, case.stage),
            category=case.category,
            components=case.components,
            component_names={
                locale: case.names or _names(case.components, policy, locale)
                for locale in policy.locales
            },
            regions=case.regions,
            times=self._known(case.times, moment),
            numbers=numbers | self._known(case.numbers, moment),
            notes=self._known(case.notes, moment),
            links=self._known({key: urls[key] for key in case.links}, moment),
            holding=case.holding,
        )

    def recipient(self, name: str, locale: str) -> Recipient:
        """Who reads a case in a language."""
        case, reader = self.cases[name], self.readers.get(locale)
        return Recipient(
            delivery_id=1,
            contact_id="con_gallery",
            name=reader.name if reader and case.named else None,
            locale=locale,
            timezone=reader.timezone if reader else "UTC",
            reason=f"uses {', '.join(case.components)}",
        )

    def _known(self, facts: Mapping[str, V], moment: Moment) -> dict[str, V]:
        return {k: v for k, v in facts.items() if moment in self.only.get(k, (moment,))}


def load_cases(content_dir: Path) -> Cases:
    """The file's cases; raises BadInput that names the field at fault."""
    path = content_dir / "gallery" / "facts.yaml"
    try:
        return Cases.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except ValidationError as error:
        faults = [
            FieldError(
                field=".".join(str(part) for part in item["loc"]),
                value=repr(item["input"])[:80],
                allowed=item["msg"],
            )
            for item in error.errors(include_url=False)
        ]
        first = faults[0]
        raise BadInput(f"{path}: {first.field}: {first.allowed}", faults) from None


def _names(keys: tuple[str, ...], policy: Policy, locale: str) -> tuple[str, ...]:
    """What customers call the components; the key where the policy has no name for it."""
    found = (policy.component(key).names for key in keys)
    return tuple(
        names.get(locale) or names.get(policy.locales[0], key)
        for key, names in zip(keys, found, strict=True)
    )
