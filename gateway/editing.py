"""A human's change of a draft: checked like any other draft, kept as a new version, shown."""

from __future__ import annotations

from datetime import datetime

from domain.edits import distinct_lines
from domain.errors import FieldError
from domain.message import DraftText, DraftVersion, Facts, Finding
from domain.policy import Policy
from domain.validation import validate_draft, validate_text
from gateway.problems import BrokenRules
from gateway.staff_shapes import TextBody
from runtime.staff import Composer, Staff

# The author of drafts that no model and no human wrote.
TEMPLATE = "template"


class Editing:
    """Makes edited versions, and says which rules a text breaks with all customers' names known."""

    def __init__(self, staff: Staff, composer: Composer, policy: Policy) -> None:
        self._staff = staff
        self._composer = composer
        self._policy = policy

    def adopt(self, policy: Policy) -> None:
        """Judge by another policy from now on."""
        self._policy = policy

    async def edited(
        self, base: DraftVersion, edits: tuple[TextBody, ...], by: str, now: datetime
    ) -> DraftVersion:
        """The version with the edits in it, not stored yet; raises BrokenRules."""
        texts = tuple(self._with_fresh_html(edit.as_draft(), base) for edit in edits)
        draft = await self._staff.drafts.edited(base.incident_id, base.version, texts, by, now)
        findings = [f for text in texts for f in await self.findings(text, base.facts)]
        if findings:
            raise broken_rules("the edited draft breaks rules", findings)
        # What was not edited keeps its findings: an approval still has to see them.
        return draft.model_copy(update={"findings": _untouched(base, texts)})

    async def findings(self, text: DraftText, facts: Facts) -> tuple[Finding, ...]:
        """Every rule that a text breaks."""
        named = await self._named(distinct_lines([text]))
        return validate_text(text, facts, self._policy, named)

    async def names_of_others(self, draft: DraftVersion) -> tuple[Finding, ...]:
        """Where a version names a customer: whoever wrote it could not know all their names.

        A template adds nothing to what humans wrote, and edits are checked when they are made.
        """
        written = "\n".join(draft.facts.notes.values())
        if draft.author != TEMPLATE and draft.based_on is None:
            written += "\n" + distinct_lines(draft.texts)
        named = await self._named(written)
        if not named:
            return ()
        usual = set(validate_draft(draft, self._policy))
        return tuple(f for f in validate_draft(draft, self._policy, named) if f not in usual)

    async def _named(self, written: str) -> tuple[str, ...]:
        if not written.strip():
            return ()
        return await self._staff.incidents.customers_named(written)

    def _with_fresh_html(self, edit: DraftText, base: DraftVersion) -> DraftText:
        """An edit without HTML that still says the old words: it is laid out anew from the text.

        Most people read the HTML of a mail, so a change of the text alone must reach it.
        """
        place = (edit.channel, edit.locale)
        before = next((t for t in base.texts if (t.channel, t.locale) == place), None)
        if before is None or edit.html is None:
            return edit
        shown = self._composer.preview(base, *place)
        unchanged = edit.html in (before.html, shown.html)
        changed = edit.text not in (before.text, shown.text)
        return edit.model_copy(update={"html": None}) if changed and unchanged else edit


def broken_rules(message: str, findings: list[Finding] | tuple[Finding, ...]) -> BrokenRules:
    """The refusal of a text, with its findings also as fields at fault."""
    return BrokenRules(message, [field_error(f) for f in findings], tuple(findings))


def field_error(finding: Finding) -> FieldError:
    """A broken rule as a field at fault."""
    return FieldError(
        field=finding.where, value=finding.found, allowed=f"{finding.rule}: {finding.suggestion}"
    )


def _untouched(base: DraftVersion, texts: tuple[DraftText, ...]) -> tuple[Finding, ...]:
    edited = tuple(f"{text.channel}/{text.locale}" for text in texts)
    return tuple(
        f for f in base.findings if not any((f.where + "/").startswith(f"{e}/") for e in edited)
    )
