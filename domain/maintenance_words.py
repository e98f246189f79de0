"""What of a human's words about planned work customers may read in every language."""

from __future__ import annotations

from domain.maintenance_facts import MaintenanceWords
from domain.message import Finding
from domain.policy import Policy
from domain.validation import sensitive_findings

# Shown beside the words of each message, in every language, without anybody writing them anew.
STANDING = ("title", "description", "advice")


def withheld(words: MaintenanceWords, policy: Policy) -> dict[str, Finding]:
    """Field → the first reason for which customers don't read it: jargon, a host, a secret …

    Left in, it would make every draft invalid, and the end would wait for an edit at night.
    """
    found: dict[str, Finding] = {}
    for field in STANDING:
        text = getattr(words, field)
        for locale in policy.locales if text else ():
            findings = sensitive_findings(text, policy, locale=locale)
            if findings:
                found[field] = findings[0]
                break
    return found


def for_customers(words: MaintenanceWords, policy: Policy) -> MaintenanceWords:
    """The words without what is withheld: a shorter message, never a wrong one."""
    return words.model_copy(update=dict.fromkeys(withheld(words, policy), ""))
