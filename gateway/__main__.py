"""`python -m gateway`: reads the settings, puts the gateway together, serves it."""

from __future__ import annotations

import argparse
import gc
import sys

import uvicorn
from fastapi import FastAPI

from domain.errors import BadInput
from gateway.app import create_app
from gateway.deps import Deps
from runtime.doors import Intake, load_slack, load_sources, make_engine
from runtime.logs import configure_logs
from runtime.policy_file import load_policy
from runtime.relay import Relay, TemporalLink
from runtime.settings import Settings, environment, load_settings

# Ends within the time that the local stack grants; streams of the banner never end by themselves.
SHUTDOWN_SECONDS = 3


def build() -> FastAPI:
    """The application as the environment describes it; ends the program on a wrong value."""
    settings = load_settings(Settings)
    try:
        policy = load_policy(settings.policy)
    except BadInput as error:
        sys.stderr.write(f"{settings.policy}: {error}\n")
        raise SystemExit(2) from None
    env = environment()
    engine = make_engine(settings.database_url.get_secret_value(), pool_size=20)
    intake = Intake(engine)
    link = TemporalLink()
    return create_app(
        Deps(
            engine=engine,
            policy=policy,
            public_url=settings.public_url,
            secret_key=settings.secret_key,
            sources=load_sources(),
            intake=intake,
            temporal=link,
            relay=Relay(intake, link, policy),
            policy_source=str(settings.policy),
            dry_run=settings.dry_run,
            temporal_ui=settings.temporal_ui_url,
            temporal_namespace=env.get("TEMPORAL_NAMESPACE") or "default",
            slack=load_slack(),
        )
    )


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m gateway", description="The doors of Forewarn.")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    arguments = parser.parse_args()
    configure_logs()
    app = build()
    # What lives as long as the process is not looked through for garbage again: that would hold
    # up every sender for a tenth of a second now and then.
    gc.collect()
    gc.freeze()
    uvicorn.run(
        app,
        host=arguments.host,
        port=arguments.port,
        # Whoever stands before us is not known, so a header must not say who the caller is.
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


if __name__ == "__main__":
    main()
