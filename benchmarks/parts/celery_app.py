"""What a team would build instead: one Celery task per mail, Redis as broker, smtplib to send.

As it is usually set up: prefork, a connection kept open per process, acknowledged late, so that a
mail is not lost with its worker; no ledger, no audit, no kill switch.
"""

from __future__ import annotations

import os
import smtplib

from celery import Celery

app = Celery("mails", broker=os.environ.get("BENCH_REDIS", "redis://127.0.0.1/0"))
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=8,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)
_connections: list[smtplib.SMTP] = []


@app.task(  # type: ignore[untyped-decorator]  # Celery has no types
    name="send_mail", autoretry_for=(smtplib.SMTPException, OSError), max_retries=8
)
def send_mail(sender: str, to: str, content: str) -> None:
    """Send one finished mail."""
    if not _connections:
        _connections.append(smtplib.SMTP("127.0.0.1", int(os.environ["BENCH_SMTP_PORT"])))
    try:
        _connections[0].sendmail(sender, [to], content.encode())
    except (smtplib.SMTPException, OSError):
        _connections.clear()
        raise
