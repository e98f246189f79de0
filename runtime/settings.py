"""The settings that belong to no adapter, and how any settings class reports a wrong value."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, overload
from urllib.parse import urlsplit, urlunsplit

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from runtime.payload_keys import read_keys

ENV_FILE = Path(".env")
DEFAULT_POLICY = Path("content/policy/default.yaml")
POSTGRES_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
MASK = "********"
MIN_SECRET_LENGTH = 32

S = TypeVar("S", bound=BaseSettings)


def _are_keys(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        read_keys(value.get_secret_value())
    return value


PayloadKeys = Annotated[
    SecretStr | None,
    AfterValidator(_are_keys),
    Field(
        validation_alias="FOREWARN_PAYLOAD_KEYS",
        description="Encrypts what Temporal keeps: `id:key,id:key`, the first encrypts, all "
        "decrypt; `starter.py keys generate` makes one. Unset: not encrypted.",
    ),
]


class PayloadSettings(BaseSettings):
    """What a program needs to read what Temporal keeps."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
    )

    payload_keys: PayloadKeys = None


class Settings(BaseSettings):
    """What every program of Forewarn needs to know before it starts."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
    )

    database_url: SecretStr = Field(
        validation_alias="DATABASE_URL",
        description="PostgreSQL in libpq form, `postgresql://user:password@host:port/name`.",
    )
    policy: Path = Field(
        default=DEFAULT_POLICY,
        validation_alias="FOREWARN_POLICY",
        description="Path of the policy file.",
    )
    public_url: str = Field(
        default="http://127.0.0.1:8080",
        validation_alias="FOREWARN_PUBLIC_URL",
        description="Address under which customers and staff reach the gateway.",
    )
    secret_key: SecretStr = Field(
        validation_alias="FOREWARN_SECRET_KEY",
        description=f"Signs sessions and links; at least {MIN_SECRET_LENGTH} characters.",
    )
    payload_keys: PayloadKeys = None
    erasure_key: SecretStr | None = Field(
        default=None,
        validation_alias="FOREWARN_ERASURE_KEY",
        description="Recognises erased people by a keyed hash. Unset: FOREWARN_SECRET_KEY; when "
        "that is changed, put its former value here.",
    )
    dry_run: bool = Field(
        default=False,
        validation_alias="FOREWARN_DRY_RUN",
        description="`true`: everything happens except that nothing leaves.",
    )
    temporal_ui_url: str | None = Field(
        default=None,
        validation_alias="FOREWARN_TEMPORAL_UI_URL",
        description="Address of the Temporal UI; incidents link to it.",
    )

    @field_validator("database_url")
    @classmethod
    def _is_postgres(cls, value: SecretStr) -> SecretStr:
        parts = urlsplit(value.get_secret_value())
        if parts.scheme not in POSTGRES_SCHEMES or not parts.path.strip("/"):
            raise ValueError("postgresql://user:password@host:port/name")
        return value

    @field_validator("policy")
    @classmethod
    def _exists(cls, value: Path) -> Path:
        if not value.is_file():
            raise ValueError("the path of an existing policy file")
        return value

    @field_validator("public_url")
    @classmethod
    def _is_web_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError("an http:// or https:// address")
        return value.rstrip("/")

    @field_validator("secret_key")
    @classmethod
    def _is_long(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < MIN_SECRET_LENGTH:
            raise ValueError(f"at least {MIN_SECRET_LENGTH} characters")
        return value

    @property
    def sqlalchemy_url(self) -> str:
        """The database address with the driver SQLAlchemy is to use."""
        return sqlalchemy_url(self.database_url.get_secret_value())


def sqlalchemy_url(database_url: str) -> str:
    """Turn a libpq address into the one that makes SQLAlchemy use psycopg 3."""
    parts = urlsplit(database_url)
    if parts.scheme not in POSTGRES_SCHEMES:
        shown = mask_password(database_url)
        raise ValueError(f"DATABASE_URL: value '{shown}' is not allowed; allowed: postgresql://…")
    return urlunsplit(parts._replace(scheme="postgresql+psycopg"))


def mask_password(address: str) -> str:
    """The same address with its password, if any, hidden."""
    parts = urlsplit(address)
    if parts.password is None:
        return address
    userinfo, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{userinfo.partition(':')[0]}:{MASK}@{host}"))


def environment() -> dict[str, str]:
    """The process environment over the `.env` file, as every settings class sees them."""
    from_file = {key: value for key, value in dotenv_values(ENV_FILE).items() if value is not None}
    return from_file | dict(os.environ)


def variable_name(settings: type[BaseSettings], field: str) -> str:
    """The environment variable that fills a field of a settings class."""
    info: FieldInfo | None = settings.model_fields.get(field)
    alias = info.validation_alias if info else None
    if isinstance(alias, AliasChoices):
        alias = next((choice for choice in alias.choices if isinstance(choice, str)), None)
    if isinstance(alias, str):
        return alias.upper()
    if info is None:
        # pydantic reports a missing aliased field by its alias.
        return field.upper()
    return f"{settings.model_config.get('env_prefix', '')}{field}".upper()


def explain(settings: type[BaseSettings], error: ValidationError) -> Iterator[str]:
    """One line per wrong value: the variable, the value (secrets hidden), what is allowed."""
    for item in error.errors():
        field = str(item["loc"][0]) if item["loc"] else "settings"
        name = variable_name(settings, field)
        context: Mapping[str, Any] = item.get("ctx") or {}
        allowed = str(context.get("error") or context.get("expected") or item["msg"])
        if item["type"] == "missing":
            description = _field(settings, name).description
            yield f"{name}: value missing; allowed: {description or 'any value'}"
            continue
        if item["type"].startswith("bool"):
            allowed = "true or false"
        shown = _shown(settings, name, item["input"])
        yield f"{name}: value {shown} not allowed; allowed: {allowed}"


@overload
def load_settings() -> Settings: ...
@overload
def load_settings(settings: type[S]) -> S: ...
def load_settings(settings: type[BaseSettings] = Settings) -> BaseSettings:
    """Read a settings class; a wrong value ends the program with code 2 and a line on stderr."""
    try:
        return settings()
    except ValidationError as error:
        for line in explain(settings, error):
            sys.stderr.write(line + "\n")
        raise SystemExit(2) from None


def _field(settings: type[BaseSettings], name: str) -> FieldInfo:
    for field, info in settings.model_fields.items():
        if variable_name(settings, field) == name:
            return info
    return FieldInfo()


def _shown(settings: type[BaseSettings], name: str, value: object) -> str:
    if "SecretStr" not in str(_field(settings, name).annotation):
        return f"'{value}'"
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    # Only a value that is plainly an address is worth showing; anything else may be the secret.
    return f"'{mask_password(text)}'" if "://" in text and "@" in text else "(hidden)"
