"""The bare loop: reads finished mails, sends each over one of a few connections, and nothing else.

python -m benchmarks.parts.bare_smtp MAILS PORT CONNECTIONS [--uvloop]

Prints the seconds it took, connecting included, as the last line.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import uvloop
from aiosmtplib import SMTP

from benchmarks.parts.mail_file import Mail, read_mails


async def send_all(mails: Iterator[Mail], port: int, connections: int) -> None:
    """Each connection takes the next mail when it is done with one."""

    async def one() -> None:
        async with SMTP(hostname="127.0.0.1", port=port, use_tls=False, start_tls=False) as client:
            for mail in mails:
                await client.sendmail(mail.sender, [mail.to], mail.content)

    await asyncio.gather(*(one() for _ in range(connections)))


def main() -> None:
    path, port, connections, *options = sys.argv[1:]
    mails = list(read_mails(Path(path)))
    run = uvloop.run if "--uvloop" in options else asyncio.run
    began = time.perf_counter()
    run(send_all(iter(mails), int(port), int(connections)))
    print(time.perf_counter() - began)


if __name__ == "__main__":
    main()
