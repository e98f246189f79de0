"""Prepares a Temporal server that was not started by us: adds the search attributes it lacks.

python -m runtime.bootstrap
"""

import asyncio
import sys

from temporalio.service import RPCError

from runtime.temporal import connect, register_search_attributes


async def bootstrap() -> list[str]:
    """Add what is missing on the configured server; returns the names added."""
    return await register_search_attributes(await connect())


def main() -> int:
    """Run once; returns the exit code."""
    try:
        added = asyncio.run(bootstrap())
    except (RPCError, RuntimeError) as error:
        sys.stderr.write(f"search attributes could not be added: {error}\n")
        return 1
    sys.stdout.write(f"search attributes added: {', '.join(added) or 'none were missing'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
