"""One round of a broadcast in a process of its own, for the test that kills it.

python -m tests.stack.lonely_worker DATABASE_URL SMTP_PORT SPEC_AS_JSON
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from temporalio.testing import ActivityEnvironment

from activities.round import DeliverInput
from adapters.db.engine import make_engine
from domain.message import Channel
from domain.ports import BroadcastSpec
from runtime.policy_file import load_policy
from tests.stack.post_office import PostOffice
from tests.stack.sending_world import SendingWorld

POLICY = Path(__file__).parents[2] / "content" / "policy" / "default.yaml"


async def main() -> None:
    database_url, port, spec = sys.argv[1:]
    world = SendingWorld(make_engine(database_url), load_policy(POLICY))
    steps = world.activities({Channel.EMAIL: PostOffice(int(port)).sender(timeout=60)})
    given = BroadcastSpec.model_validate_json(spec)
    opened = await ActivityEnvironment().run(steps.open_broadcast, given)
    work = DeliverInput(broadcast_id=opened.broadcast_id, spec=given, channel=Channel.EMAIL)
    await ActivityEnvironment().run(steps.deliver, work)


if __name__ == "__main__":
    asyncio.run(main())
