"""Everything that must hold of every story."""

from __future__ import annotations

from tests.domain.properties import accounts, invariants, statements
from tests.domain.properties.invariants import Check

CHECKS: tuple[Check, ...] = (
    invariants.nobody_hears_the_same_twice,
    invariants.whoever_heard_the_start_hears_the_end,
    invariants.no_message_contradicts_the_state,
    invariants.every_broadcast_carries_what_was_written,
    invariants.every_incident_can_be_ended,
    invariants.what_is_waited_for_will_come,
    invariants.what_is_written_is_read,
    invariants.the_end_that_was_asked_for_comes,
    invariants.severity_is_a_humans_once_set,
    invariants.timers_lie_ahead,
    invariants.what_is_refused_or_repeated_changes_nothing,
    accounts.every_promise_is_settled_once,
    accounts.a_missed_promise_is_admitted,
    accounts.a_promise_is_kept_where_it_was_made,
    accounts.what_is_said_is_promised,
    accounts.nothing_unapproved_goes_out,
    accounts.what_was_sent_stays_sent,
    accounts.no_answer_is_given_in_vain,
    statements.no_amount_is_stated_unapproved,
    statements.what_is_owed_is_proposed,
    statements.what_is_said_is_as_stated,
)
