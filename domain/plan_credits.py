"""SLA credits in the plan: worked out at the end, stated only once a person approved them."""

from __future__ import annotations

from domain.actions import ProposeCredits
from domain.events import CreditsApproved, CreditsProposed
from domain.plan_facts import write_anew
from domain.plan_post_mortem import write_report_anew
from domain.step import Step


def propose_credits(step: Step) -> None:
    """Ask for the amounts, where policy has credits for incidents of this severity."""
    policy = step.policy.credits
    if policy is not None and step.state.severity in policy.severities:
        step.set(proposing=step.state.proposing + 1)
        step.actions.append(ProposeCredits())


def on_credits_proposed(step: Step, event: CreditsProposed) -> None:
    step.set(proposing=max(0, step.state.proposing - 1))
    if event.accounts:
        step.note(
            "credits_proposed",
            accounts=event.accounts,
            total=event.total,
            unknown=event.unknown or None,
        )


def on_credits_approved(step: Step, event: CreditsApproved) -> None:
    """From now on messages may state them: an all-clear or a report that waits is written anew."""
    before = step.state.credits
    step.set(credits=event.percents)
    step.note("credits_approved", actor=event.by, accounts=event.accounts, total=event.total)
    write_anew(step)
    if event.percents != before:
        write_report_anew(step)
