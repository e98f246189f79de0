"""The words that drafts are checked against, by locale."""

from __future__ import annotations

from typing import Any

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from domain.policy_base import Duration, Later, Strict


class Blame(Strict):
    """Phrases that put the fault on whoever is named right after, or right before, them.

    Until 0.2.0 one list said both: it is still read, and written as it was.
    """

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _read_one_list(cls, given: Any) -> Any:
        return {"before": given, "after": given} if isinstance(given, list | tuple) else given

    @model_serializer(mode="wrap")
    def _write_one_list(self, write: SerializerFunctionWrapHandler) -> Any:
        # A policy keeps its hash, and workers of 0.2.0 can read it, only if it stays as it was.
        return list(self.before) if self.before == self.after else write(self)


class Span(Strict):
    """How a language says a length of time: numbers in words, units, and words before them."""

    ahead: tuple[str, ...] = ()
    counts: dict[str, float] = Field(default_factory=dict)
    units: dict[str, Duration] = Field(default_factory=dict)


class Tone(Strict):
    """Words that drafts are checked against, by locale; `domain/rules/phrases.py` says how.

    `stop_words` are the small words that give a language away; `blame` puts the fault on one of
    `vendors`; `fix` announces a repair, `soon` is a time that nobody can hold us to, and `unsure`
    says that the time is not known; `avoid`, `overclaim` and `minimise` are phrases and what to say
    instead; `residue` is what is left of a conversation with a model; `gaps` are words for
    something still to be filled in; `unaffected` says that a thing works; `greetings` open a letter
    and `anyone` may follow one instead of a name; `warm` may end with an exclamation mark;
    `titles`, `given_names` and `surnames` give a person away, `places` (by region key, or `sites`)
    a place; `products` are names with figures or capitals of their own; `counted` stands before a
    figure that counts our own lines; `fixed` are figures of speech; `fractions` are shares in
    words, as percentages; `zones` name a time zone, and `home` is the zone of most who read a
    language. `repair` are stems that promise a repair where a time stands in the same clause, but
    not with a word of `informs`; `joins` divide clauses, and `today` may be past. `suppliers` are
    blamed by being named, but after one of `paths`, and `partners` by any word of `trouble`; one of
    `disclaims` puts the fault elsewhere. `causes` tell a cause, and the name before one of
    `companies` is a company's. `scales` make a figure larger and `crowds` stand for one;
    `yesterday`, `weekdays` (from Monday) after a word of `since`, and `hours` tell a time in words,
    and `roughly` before one says that it is rounded. After one of `callers`, or before one of
    `belonging`, a given name alone names a person; `fill` is what a forgotten gap asks for, even in
    round brackets. `advice` asks something of the reader, and so does one of `orders` where it
    opens a clause: a figure there is advice, of any size with one of `limits`, but none with one of
    `told`. `parts` are what customers call components (by key), which are said to fail with a word
    of `failing`, or of `likewise`; `things` are customers, of whom even a few are counted.

    What is empty and came after 0.2.0 is not written, so that older policies keep their hash.
    """

    stop_words: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    vendors: tuple[str, ...] = ()
    blame: dict[str, Blame] = Field(default_factory=dict)
    fix: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    soon: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    unsure: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    spans: Later[dict[str, Span]] = Field(default_factory=dict)
    avoid: dict[str, dict[str, str]] = Field(default_factory=dict)
    overclaim: Later[dict[str, dict[str, str]]] = Field(default_factory=dict)
    minimise: Later[dict[str, dict[str, str]]] = Field(default_factory=dict)
    residue: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    gaps: Later[tuple[str, ...]] = ()
    unaffected: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    greetings: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    anyone: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    warm: Later[tuple[str, ...]] = ()
    titles: Later[tuple[str, ...]] = ()
    given_names: Later[tuple[str, ...]] = ()
    surnames: Later[tuple[str, ...]] = ()
    places: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    products: Later[tuple[str, ...]] = ()
    counted: Later[tuple[str, ...]] = ()
    fixed: Later[tuple[str, ...]] = ()
    fractions: Later[dict[str, dict[str, float]]] = Field(default_factory=dict)
    zones: Later[dict[str, str]] = Field(default_factory=dict)
    home: Later[dict[str, str]] = Field(default_factory=dict)
    repair: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    informs: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    joins: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    today: Later[tuple[str, ...]] = ()
    suppliers: Later[tuple[str, ...]] = ()
    paths: Later[tuple[str, ...]] = ()
    partners: Later[tuple[str, ...]] = ()
    disclaims: Later[tuple[str, ...]] = ()
    causes: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    companies: Later[tuple[str, ...]] = ()
    trouble: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    scales: Later[dict[str, float]] = Field(default_factory=dict)
    crowds: Later[dict[str, float]] = Field(default_factory=dict)
    yesterday: Later[tuple[str, ...]] = ()
    since: Later[tuple[str, ...]] = ()
    weekdays: Later[tuple[tuple[str, ...], ...]] = ()
    hours: Later[dict[str, str]] = Field(default_factory=dict)
    roughly: Later[tuple[str, ...]] = ()
    callers: Later[tuple[str, ...]] = ()
    belonging: Later[tuple[str, ...]] = ()
    fill: Later[tuple[str, ...]] = ()
    advice: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    orders: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    limits: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    told: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    parts: Later[dict[str, dict[str, tuple[str, ...]]]] = Field(default_factory=dict)
    failing: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    likewise: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    things: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
