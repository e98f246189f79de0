"""Puts every mail of a file into Celery's queue, over one connection to the broker.

python -m benchmarks.parts.celery_enqueue MAILS

Prints the time at which it began to.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from benchmarks.parts.celery_app import app, send_mail
from benchmarks.parts.mail_file import read_mails


def main() -> None:
    mails = list(read_mails(Path(sys.argv[1])))
    with app.producer_pool.acquire(block=True) as producer:
        print(time.time())
        for mail in mails:
            send_mail.apply_async((mail.sender, mail.to, mail.content.decode()), producer=producer)


if __name__ == "__main__":
    main()
