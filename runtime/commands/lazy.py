"""Loads a command's module only when it is called: a command must not wait for all the others."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import typer
from typer._click.core import Command, Context  # typer's own click has no public name
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True)
class Entry:
    """Where a command lives under `runtime.commands`, and its line in the overview."""

    module: str
    help: str


COMMANDS = {
    "up": Entry("up", "Run Temporal, PostgreSQL, worker and gateway until Ctrl-C."),
    "demo": Entry("demo", "Play an incident on a stack of its own, and leave it up."),
    "signal": Entry("signal", "Send an alert, signed, as its monitor would."),
    "drill": Entry("drill", "Play a recorded incident on the running stack; nothing leaves."),
    "incident": Entry("incident", "Start, watch and steer incidents."),
    "approve": Entry("approval", "Let the pending draft out."),
    "reject": Entry("approval", "Turn the pending draft down, with a reason."),
    "edit": Entry("approval", "Change texts of the pending draft."),
    "draft": Entry("draft", "Check and compare drafts."),
    "post-mortem": Entry("post_mortem", "Read post-mortems, state what only humans know."),
    "credits": Entry("credits", "SLA credits: what is owed, with the working, and who grants it."),
    "gallery": Entry("gallery", "Everything that can be said, as pages to look through."),
    "maintenance": Entry("maintenance", "Plan work, and tell customers of it."),
    "sends": Entry("sends", "The kill switch: nothing leaves, nothing is lost."),
    "reconcile": Entry("reconcile", "Compare PostgreSQL and Temporal after a loss, and repair."),
    "customers": Entry("customers", "Import customers, see whom an incident would reach."),
    "policy": Entry("policy", "Check the communication plan, try it on the past, put it in force."),
    "analytics": Entry("analytics", "What the figures say."),
    "audit": Entry("audit", "The audit log: prove it, export it."),
    "retention": Entry("retention", "Delete what the policy no longer keeps."),
    "adapters": Entry("adapters_cmd", "List and check adapters."),
    "keys": Entry("keys", "Keys that encrypt what Temporal keeps."),
    "tokens": Entry("tokens", "Create and revoke staff tokens."),
    "db": Entry("db", "Look after the database."),
}


def load(name: str) -> Command:
    """The real command behind a name of the overview."""
    module = importlib.import_module(f"runtime.commands.{COMMANDS[name].module}")
    command: Command = typer.main.get_command(module.app)
    if isinstance(command, TyperGroup) and name in command.commands:
        return command.commands[name]
    return command


class LazyGroup(TyperGroup):
    """Shows the overview from the table above and loads what is called."""

    def list_commands(self, ctx: Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        entry = COMMANDS.get(cmd_name)
        return TyperCommand(cmd_name, help=entry.help) if entry else None

    def resolve_command(
        self, ctx: Context, args: list[str]
    ) -> tuple[str | None, Command | None, list[str]]:
        if args and args[0] in COMMANDS:
            return args[0], load(args[0]), args[1:]
        return super().resolve_command(ctx, args)
