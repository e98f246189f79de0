"""Claude through the Anthropic SDK: one question, one answer in a given JSON form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from adapters.base import AdapterSettings, AdapterSpec
from domain.errors import Permanent, Transient, Unreachable

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

# Eight texts of a language are about 1,500 tokens; the rest is room to think.
MAX_TOKENS = 6_000
# A third try would come too late for the draft that waits.
_RETRIES = 1
# Answers that say "not now".
_PASSING = frozenset({408, 409, 425, 429})
# Updates of a critical incident come every half hour, which the usual five minutes would miss.
_CACHED = {"type": "ephemeral", "ttl": "1h"}


class ClaudeSettings(AdapterSettings):
    """Claude writes drafts when a key is set; templates do otherwise, and whenever it fails."""

    model_config = SettingsConfigDict(env_prefix="ANTHROPIC_")

    api_key: SecretStr | None = Field(
        default=None, description="With a key Claude writes the drafts. Unset: templates do."
    )
    base_url: str = Field(
        default="https://api.anthropic.com", description="Address of the Messages API."
    )
    model: str = Field(
        default="claude-sonnet-5-5",
        description="A model that takes structured output and an effort level.",
    )
    timeout: float = Field(
        default=40.0,
        gt=0,
        le=90,
        description="Seconds for a draft in all languages, a second attempt included; then the "
        "templates write it.",
    )
    budget_per_incident: int = Field(
        default=1_000_000,
        ge=0,
        description="Tokens, read and written, that the drafts of one incident may cost; past it "
        "the templates write.",
    )

    @field_validator("api_key")
    @classmethod
    def _blank_is_unset(cls, value: SecretStr | None) -> SecretStr | None:
        return value if value is not None and value.get_secret_value().strip() else None

    @field_validator("base_url")
    @classmethod
    def _is_web_address(cls, value: str) -> str:
        if not value.startswith(("https://", "http://")):
            raise ValueError("an http:// or https:// address")
        return value.rstrip("/")

    @field_validator("model")
    @classmethod
    def _is_named(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("the name of a model, such as claude-sonnet-5-5")
        return value.strip()


class Usage(BaseModel):
    """Tokens of one call as the API counts them."""

    model_config = ConfigDict(frozen=True)

    input_tokens: int = Field(ge=0)
    output_tokens: int = Field(ge=0)
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None

    @property
    def read(self) -> int:
        """All that was read, from the cache or not."""
        cached = (self.cache_creation_input_tokens or 0) + (self.cache_read_input_tokens or 0)
        return self.input_tokens + cached

    @property
    def written(self) -> int:
        """All that was written, thoughts included."""
        return self.output_tokens


class _Block(BaseModel):
    type: str
    text: str | None = None


class _Answer(BaseModel):
    content: list[_Block]
    stop_reason: str | None
    usage: Usage


@dataclass(frozen=True)
class Reply:
    """What came back: the text, why it ended (`end_turn` when all is well), and what it cost."""

    text: str
    stop_reason: str
    usage: Usage


class Claude:
    """The Messages API; its client lives as long as this object.

    Raises Unreachable, Transient and Permanent; their words never hold the key or the exchange.
    """

    name = "claude"

    def __init__(self, settings: ClaudeSettings) -> None:
        self._settings = settings
        self._made: AsyncAnthropic | None = None

    @property
    def model(self) -> str:
        """The model that is asked."""
        return self._settings.model

    async def ask(
        self, system: Sequence[str], message: Sequence[str], schema: Mapping[str, object]
    ) -> Reply:
        """Ask for one JSON object of `schema`; each part of `system` is cached as it stands."""
        from anthropic import AnthropicError

        request: dict[str, Any] = {
            "model": self._settings.model,
            "max_tokens": MAX_TOKENS,
            "system": [{"type": "text", "text": t, "cache_control": _CACHED} for t in system],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": t} for t in message]}
            ],
            "output_config": {
                # A draft needs words, not long thought, and somebody waits for it.
                "effort": "low",
                "format": {"type": "json_schema", "schema": dict(schema)},
            },
        }
        failure: Exception
        try:
            answer = await self._client().messages.create(**request)
            return _read(answer)
        except AnthropicError as error:
            failure = _judged(error)
        except ValueError:
            failure = Transient("Claude's answer is not in its form")
        # Raised out here so that it does not carry the SDK's own error, which holds the exchange.
        raise failure

    def open(self) -> None:
        """Load the SDK and make the client, which would hold up the first draft by seconds."""
        self._client()

    async def check(self) -> str:
        """Verify key and model without side effects."""
        from anthropic import AnthropicError

        failure: Exception
        try:
            found = await self._client().models.retrieve(self._settings.model)
            return f"{found.id} may be used"
        except AnthropicError as error:
            failure = _judged(error)
        finally:
            await self.aclose()
        raise failure

    async def aclose(self) -> None:
        """Close the connections."""
        made, self._made = self._made, None
        if made is not None:
            await made.close()

    def _client(self) -> AsyncAnthropic:
        # Loaded only where it is used: it takes longer to load than all the rest of a command.
        from anthropic import AsyncAnthropic

        if self._settings.api_key is None:
            raise Permanent("ANTHROPIC_API_KEY is not set")
        if self._made is None:
            self._made = AsyncAnthropic(
                api_key=self._settings.api_key.get_secret_value(),
                base_url=self._settings.base_url,
                timeout=self._settings.timeout,
                max_retries=_RETRIES,
            )
        return self._made


def _read(answer: Any) -> Reply:
    """The parts that we need; what else an answer holds may change without us."""
    read = _Answer.model_validate(answer, from_attributes=True)
    text = "".join(b.text or "" for b in read.content if b.type == "text")
    return Reply(text=text, stop_reason=read.stop_reason or "none", usage=read.usage)


def _judged(error: Exception) -> Exception:
    """What an error of the SDK means, by its kind and status, never by its words."""
    from anthropic import APIConnectionError, APIStatusError

    if isinstance(error, APIConnectionError):
        return Unreachable(f"Claude cannot be reached ({type(error).__name__})")
    if isinstance(error, APIStatusError):
        status = error.status_code
        if status in _PASSING or status >= 500:
            return Transient(f"Claude answered {status}")
        return Permanent(f"Claude answered {status}")
    return Transient(f"Claude's answer cannot be used ({type(error).__name__})")


ADAPTER = AdapterSpec(
    name="claude",
    kind="drafter",
    settings=ClaudeSettings,
    build=Claude,
    roles=("write", "check"),
    summary="Claude: drafts in every language from facts, checked; templates take over at once",
)
