"""Named timeout and retry profiles: every activity call picks one."""

from __future__ import annotations

from datetime import timedelta
from typing import NotRequired, TypedDict

from temporalio.common import RetryPolicy


class Profile(TypedDict):
    """Keyword arguments of an activity call."""

    start_to_close_timeout: timedelta
    retry_policy: RetryPolicy
    heartbeat_timeout: NotRequired[timedelta]
    schedule_to_close_timeout: NotRequired[timedelta]


# Between two attempts at a step that a worker of an older release could not write whole.
OLDER_WORKERS = timedelta(seconds=5)

# Retried until it works: our own database and workers come back, and an incident waits for them.
_PATIENT = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2,
    maximum_interval=timedelta(seconds=30),
)
_PROMPT = RetryPolicy(
    initial_interval=timedelta(milliseconds=500),
    backoff_coefficient=2,
    maximum_interval=timedelta(seconds=10),
)

# Short writes to and reads from our own database.
PROJECTION = Profile(start_to_close_timeout=timedelta(seconds=30), retry_policy=_PROMPT)

# A look at our own database that a person waits for: given up before their patience ends.
LOOK_UP = Profile(
    start_to_close_timeout=timedelta(seconds=5),
    schedule_to_close_timeout=timedelta(seconds=8),
    retry_policy=_PROMPT,
)

# The audience snapshot: one statement over all customers.
TARGETING = Profile(start_to_close_timeout=timedelta(minutes=5), retry_policy=_PROMPT)

# Writing and validating the words of a moment.
DRAFTING = Profile(start_to_close_timeout=timedelta(minutes=2), retry_policy=_PATIENT)

# Freezing an audience, and the last count: a million rows take a while, so they heartbeat.
LEDGER = Profile(
    start_to_close_timeout=timedelta(minutes=30),
    heartbeat_timeout=timedelta(seconds=30),
    retry_policy=_PROMPT,
)

# One round of sending ends by itself after five minutes; a dead worker is noticed in half a
# minute, so that its rows are taken over as soon as their leases run out.
DELIVERY = Profile(
    start_to_close_timeout=timedelta(minutes=10),
    heartbeat_timeout=timedelta(seconds=30),
    retry_policy=_PROMPT,
)

# Showing staff where things stand: given up in time, because the next change shows it all anew,
# and a chat that is away must not keep an incident from ending or going on as new.
STAFF = Profile(
    start_to_close_timeout=timedelta(seconds=60),
    schedule_to_close_timeout=timedelta(minutes=10),
    retry_policy=_PROMPT,
)
