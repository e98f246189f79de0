"""What the local stack keeps in its data directory: ports and secrets, and `stack.json`."""

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runtime.processes import free_port

STACK_FILE = "stack.json"
STATE_FILE = "state.json"


class StackInfo(BaseModel):
    """The content of `stack.json`: where everything of a running stack is."""

    model_config = ConfigDict(frozen=True)

    gateway: str
    temporal: str
    temporal_ui: str | None
    database_url: str
    smtp: str
    mail: str | None
    token: str
    pids: dict[str, int]
    secrets: dict[str, str]

    def environment(self) -> dict[str, str]:
        """What a command needs in its environment to talk to this stack."""
        return {
            "DATABASE_URL": self.database_url,
            "TEMPORAL_ADDRESS": self.temporal,
            "SMTP_URL": self.smtp,
            "FOREWARN_PUBLIC_URL": self.gateway,
        }


class StackState(BaseModel):
    """What was generated once and must survive a restart; only ever in the data directory."""

    ports: dict[str, int] = Field(default_factory=dict)
    secrets: dict[str, str] = Field(default_factory=dict)
    tokens: dict[str, str] = Field(default_factory=dict)
    """By fingerprint of the database and secret key a token was made for."""

    def port(self, name: str) -> int:
        """The port of a child, picked free the first time."""
        if name not in self.ports:
            self.ports[name] = free_port()
        return self.ports[name]

    def secret(self, name: str) -> str:
        """A secret by the name of its variable, generated the first time."""
        return self.secrets.setdefault(name, secrets.token_urlsafe(32))


def load_state(data_dir: Path) -> StackState:
    """The kept state, or an empty one in a new directory."""
    path = data_dir / STATE_FILE
    if not path.exists():
        return StackState()
    return StackState.model_validate_json(path.read_text())


def save_state(data_dir: Path, state: StackState) -> None:
    """Keep the state, readable by the owner only."""
    write_private(data_dir / STATE_FILE, state.model_dump_json(indent=2))


def write_stack(data_dir: Path, info: StackInfo) -> None:
    """Replace `stack.json` in one step."""
    write_private(data_dir / STACK_FILE, info.model_dump_json(indent=2))


def read_stack(data_dir: Path) -> StackInfo | None:
    """The stack that runs, or last ran, on this data directory; None if there is none."""
    try:
        return StackInfo.model_validate(json.loads((data_dir / STACK_FILE).read_text()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, ValidationError) as error:
        raise ValueError(f"{data_dir / STACK_FILE}: not a stack file") from error


def client_environment(data_dir: Path) -> dict[str, str]:
    """The variables that make a command find the stack in this directory; empty without one."""
    info = read_stack(data_dir)
    if info is None:
        return {}
    state = load_state(data_dir)
    key = {name: state.secrets[name] for name in ("FOREWARN_SECRET_KEY",) if name in state.secrets}
    return info.environment() | key


def token_fingerprint(environment: Mapping[str, str]) -> str:
    """Names the pair of database and key that a token is valid for, without revealing either."""
    known = environment["DATABASE_URL"] + "\0" + environment["FOREWARN_SECRET_KEY"]
    return hashlib.sha256(known.encode()).hexdigest()[:16]


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step; nobody but the owner can read it at any moment."""
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            # NamedTemporaryFile has made it with mode 0600.
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
