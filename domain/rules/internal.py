"""What must never leave the house: hosts, addresses, ticket ids, stack traces, secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from domain.message import Channel, Finding
from domain.rules import tokens
from domain.rules.base import Passage, host_of

# Begins at a boundary, or hostile text would cost time that grows with its square.
EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.ASCII)
_TRACE = re.compile(
    r"Traceback \(most recent call last\)|^\s*File \"[^\"\n]+\", line \d+"
    r"|^\s*at [\w$.<>]+\([\w.]*(?::\d+)?\)|\b[A-Z]\w*(?:Exception|Error)\b(?!\w)"
    r"|\bpanic: |\b[Ss]egmentation fault\b|\b[Ss]egfault|\bSIG(?:KILL|TERM|SEGV|ABRT)\b"
    r"|\bOOM[- ]?[Kk]ill|\b[Ee]xit(?:ed with)? (?:code|status) \d+|\berrno \d+|\b[Nn]ull pointer\b"
    r"|\b[Cc]ore dump(?:ed)?\b|\b0x[0-9a-f]{4,}\b|\bgoroutine \d+"
    r"|\bE(?:CONN\w+|TIMEDOUT|NOTFOUND|PIPE)\b|\bSQLSTATE\b|\bORA-\d{5}\b|\bCaused by: "
    r"|\b[Ss]tack ?trace\b|\bis not a function\b"
    r"|\bUncaught \w+|\bunhandled (?:exception|rejection)\b|\bCannot read propert"
    r"|\b[\w/]+\.(?:py|java|go|rb|js|ts|php|cs|rs|cpp|c|scala|kt|sql):\d+|\bline \d+ in \w+",
    re.MULTILINE | re.ASCII,
)
# One of these is in whatever `_TRACE` finds.
_TRACE_HINTS = (
    "Traceback", "File \"", "(", "Exception", "Error", "panic: ", "egmentation", "egfault", "SIG",
    "OOM", "xit", "errno", "ull pointer", "ore dump", "0x", "goroutine", "ECONN", "ETIME", "ENOTF",
    "EPIPE", "SQLSTATE", "ORA-", "Caused by", "tack", "is not a function", "Uncaught", "unhandled",
    "Cannot read", ".py:", ".java:", ".go:", ".rb:", ".js:", ".ts:", ".php:", ".cs:", ".rs:",
    ".cpp:", ".c:", ".scala:", ".kt:", ".sql:", "line ",
)  # fmt: skip
_PASSWORD = (
    r"(?:password|passwd|passwort|passwörter|passcode|passphrase|pass|pwd|pin|secret|geheimnis"
    r"|api[_ -]?key|access[_ -]?key|token|kennwort|zugangscode|mot de passe|code d'accès"
    r"|contraseña|clave|senha|wachtwoord|parola d'ordine|chiave|credentials?|zugangsdaten"
    r"|inloggegevens|identifiants?|credenciales|credenciais|credenziali"
    r"|パスワード|暗証番号|合言葉|トークン|キー)"
)
_SECRET = re.compile(
    r"-----BEGIN [A-Z ]+-----|\bBearer\s+[\w.~+/-]{12,}|\bBasic\s+[\w+/]{12,}={0,2}"
    # A word that is only letters is no password: "Password: please reset it".
    rf"|{_PASSWORD}(?:\s(?:for|für|pour|para|per|voor)\s\w+)?(?:\s*[:=\uff1a]|は|\s+(?:is|ist|est|es|é|è|=|lautet|luidt))\s*[\"'「«]?(?=\S*\d)\S{{4,}}"
    rf"|{_PASSWORD}\s+[\"'「«]?(?=\S*\d)(?=\S*[a-z])(?!\d+\S{{0,2}}\s)[^\s,;]{{6,}}",
    re.IGNORECASE,
)
# A password that follows later in the sentence: letters and figures with a sign or a year.
_LATER = re.compile(
    r"(?:password|passwort|kennwort|mot de passe|contraseña|senha|wachtwoord|パスワード)"
    r"[^.。\n]{0,60}?[\s\"'「«:]((?=\S*\d)(?=\S*[A-Za-z])\S*[!@#$%^&*_+?=~]\w\S*|[^\W\d_]{4,}[-_]?\d{2,}\S*)",
    re.IGNORECASE,
)
_SECRET_HINTS = (
    "-----begin", "bearer", "basic", "pass", "pwd", "pin", "secret", "geheim", "key", "token",
    "kennwort", "zugang", "code d", "contrase", "clave", "senha", "wachtwoord", "parola", "chiave",
    "creden", "inlog", "identifiant", "パスワード", "暗証", "合言葉", "トークン", "キー",
)  # fmt: skip
_MARKUP = re.compile(
    r"<\s*/?\s*(?:script|style|iframe|object|embed|form|input|button|link|meta|base|svg|math)\b"
    r"|<[^<>]*?[\s/\"']on\w+\s*=|(?:javascript|vbscript|data)\s*:(?=[^\s<])",
    re.IGNORECASE,
)
_TAG = re.compile(r"<[^<>]*>")
SEVERITY = tokens.SEVERITY


def addresses(p: Passage) -> Iterator[Finding]:
    """No mail address but the company's own for customers."""
    if "@" not in p.visible:
        return
    company = p.policy.company
    own = {company.support_email.lower(), company.from_email.lower()}
    for m in EMAIL.finditer(p.visible):
        if m[0].lower().rstrip(".") not in own:
            yield p.finding("address", m.start(), "a mail address", company.support_email)


def hosts(p: Passage) -> Iterator[Finding]:
    """No network address, internal host or file path, and no link but ours."""
    own = p.known.hosts
    for kind, at, said in p.odd:
        if kind in ("IP", "host", "path"):
            # The incident's own id may look like a host, and colleagues are told it.
            told = p.channel is Channel.INTERNAL and said == p.facts.incident_id
            if said.lower() not in own and not told:
                yield p.finding("internal", at, said, f"leave the {kind} out")
        elif kind == "site" and not any(
            said.lower() == h or h.endswith("." + said.lower()) for h in own
        ):
            yield p.finding("link", at, said, "link to the status page only")
    for start, end in p.spans("services"):
        yield p.finding("internal", start, p.words[start:end], "name what customers use")
    for start, url in p.urls:
        host = host_of(url)
        if host not in own:
            yield p.raw_finding("link", start, host or url, "link to the status page only")


def references(p: Passage) -> Iterator[Finding]:
    """No ticket or incident id and no severity number towards customers."""
    if p.channel is Channel.INTERNAL:
        return
    for kind, at, said in p.odd:
        if kind == "ticket":
            yield p.finding("ticket_id", at, said, "leave it out")
    if p.field != "subject":  # there the rule `subject` says so
        for m in SEVERITY.finditer(p.words):
            yield p.finding("internal", m.start(), m[0], "say what customers notice")


def traces(p: Passage) -> Iterator[Finding]:
    """No stack trace or other words of a program that failed."""
    if any(hint in p.visible for hint in _TRACE_HINTS):
        for m in _TRACE.finditer(p.visible):
            yield p.finding("stack_trace", m.start(), m[0], "say in plain words what went wrong")


def secrets(p: Passage) -> Iterator[Finding]:
    """No password, key or token; the finding does not repeat it."""
    suggestion = "remove it and replace the secret"
    for kind, at, said in p.odd:
        if kind == "secret":
            yield p.finding("secret", at, f"{said[:4]}…", suggestion)
    for at, url in p.urls:
        if tokens.KEYS.search(url) and ("@" in url or host_of(url) not in p.known.hosts):
            yield p.raw_finding("secret", at, f"{url[:4]}…", suggestion)
    low = p.visible.lower()
    if any(hint in low for hint in _SECRET_HINTS):
        for m in _SECRET.finditer(p.visible):
            yield p.finding("secret", m.start(), f"{m[0][:4]}…", suggestion)
        for m in _LATER.finditer(p.words):
            yield p.finding("secret", m.start(), f"{m[0][:4]}…", suggestion)
    if p.field == "html":
        for tag in _TAG.finditer(p.raw):
            if _has_secret(tag[0]):
                yield p.raw_finding("secret", tag.start(), f"{tag[0][:4]}…", suggestion)


def markup(p: Passage) -> Iterator[Finding]:
    """HTML that lays out text and does nothing else: customers' pages show it as it is."""
    if p.field != "html":
        return
    for m in _MARKUP.finditer(p.raw):
        yield p.raw_finding("markup", m.start(), m[0], "text, lists, tables and links only")


@lru_cache(maxsize=2048)
def _has_secret(tag: str) -> bool:
    """Whether a tag's attributes hold a secret; templates use the same few tags."""
    bare = re.sub(r"(?<=://)[\w.-]+[^\s\"'@]*(?=[\"'\s>])", "", tag)
    return tokens.KEYS.search(tag) is not None or _SECRET.search(bare) is not None
