"""What must never leave the house: hosts, addresses, ticket ids, stack traces, secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from domain.message import Channel, Finding
from domain.rules.base import PLACEHOLDER, Passage, blank

# Each begins at a boundary, or hostile text would cost time that grows with its square.
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_IPV4 = re.compile(
    r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.]*\d)"
)
# Four groups or a double colon: "13:05:20" is a time.
_IPV6 = re.compile(
    r"(?<![\w:])(?:(?:[0-9a-f]{1,4}:){3,7}(?::|[0-9a-f]{1,4})(?::?[0-9a-f]{1,4})*"
    r"|(?:[0-9a-f]{1,4}:){1,6}(?::[0-9a-f]{1,4}){1,6}|::(?:ffff:)?[0-9a-f]{1,4})(?![\w:])",
    re.IGNORECASE,
)
_HOST = re.compile(
    r"(?<![\w@.-])(?:[a-z0-9_](?:[\w-]*[a-z0-9])?\.)+"
    r"(?:internal|intern|local|localdomain|lan|corp|intra|intranet|private|cluster|svc|consul|home)"
    r"(?:\.[\w.-]+)?(?![\w-])"
    r"|(?<![\w@.-])localhost(?::\d+)?(?!\w)"
    r"|(?<![\w@.-])ip-\d+(?:-\d+){3}\b"
    r"|(?<![\w@./-])(?=[\w.-]*[\d_-])[a-z][\w-]*(?:\.[a-z0-9][\w-]*){2,}(?![\w-])"
    r"|(?<![\w.-])(?!(?:step|top|level|tier|phase|part|option|utf|sha|covid|stufe|mi)-\d)"
    r"[a-z][a-z0-9]+(?:-[a-z0-9]+)*-\d{1,4}(?:[a-z]\b|\b)(?:\.[\w.-]+)?"
    r"|(?<![\w.-])(?:web|db|app|srv|api|cache|redis|mysql|host|server|worker|proxy|lb)\d{1,3}(?![\w-])"
    r"|(?<![\w.-])[A-Za-z]{2,}(?:-[A-Za-z]{2,})+-\d{1,4}(?![\w-])"
    r"|(?<![\w.-])i-[0-9a-f]{8,17}\b|\barn:aws[\w:/-]+"
    r"|(?<![\w.-])[a-z][a-z0-9]*(?:-[a-z0-9]+)*-(?=[a-z0-9]*\d)[a-z0-9]{7,10}-[a-z0-9]{5}\b",
    re.ASCII,
)
# Addresses of sites without the "https://" before them.
_SITE = re.compile(
    r"(?<![\w@./-])(?:[a-z0-9][a-z0-9-]*\.)+(?:com|net|org|io|dev|cloud|example|eu|de|fr|es|br|jp|nl)"
    r"(?![\w-]|\.\w)",
    re.IGNORECASE | re.ASCII,
)  # fmt: skip
_TICKET = re.compile(
    r"(?<![\w-])(?!(?:UTF|SHA|ISO|TLS|SSL|HTTP|RFC|MD|COVID|AES|RSA|UTC|GMT|IPV|ES|H|MP|A|B"
    r"|SOC|PSD|WPA|PCI|EN|DIN|BS|BRT|CET|EMV|IEC|TOP)-)"
    r"[A-Z][A-Z0-9]{1,9}-\d{1,7}(?![\w-])"
    r"|\b(?:INC|CHG|PRB|REQ|TASK|CASE|JIRA)\d{4,}\b|(?<![\w&/])#\d{3,}\b|\binc_[a-z2-7]{6,}\b",
    re.ASCII,
)
_TRACE = re.compile(
    r"Traceback \(most recent call last\)|^\s*File \"[^\"\n]+\", line \d+"
    r"|^\s*at [\w$.<>]+\([\w.]*(?::\d+)?\)|\b[A-Z]\w*(?:Exception|Error)\b(?!\w)"
    r"|\bpanic: |\bsegmentation fault\b|\bSIG(?:KILL|TERM|SEGV)\b|\bOOM[- ]?[Kk]ill"
    r"|\bexit code \d+|\berrno \d+|\bnull pointer\b|\bcore dump\b|\b0x[0-9a-f]{4,}\b"
    r"|\bgoroutine \d+|\bE(?:CONN\w+|TIMEDOUT|NOTFOUND)\b|\bSQLSTATE\b|\bORA-\d{5}\b"
    r"|\bCaused by: |\bstack ?trace\b|\bis not a function\b"
    r"|\b[\w/]+\.(?:py|java|go|rb|js|php|cs):\d+",
    re.MULTILINE | re.ASCII,
)
_PATH = re.compile(
    r"(?<![\w/:.])/(?:var|etc|usr|opt|home|tmp|srv|root|proc|mnt)/[\w./-]+|\b[A-Z]:\\[\w\\.-]+"
)
_SECRET = re.compile(
    r"\b(?:AKIA|ASIA)[0-9A-Z]{12,}|\bsk-[\w-]{16,}|\bxox[abprs]-[\w-]{8,}|\bgh[pousr]_\w{16,}"
    r"|\bglpat-[\w-]{12,}|\bAIza[\w-]{20,}|\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"
    r"|-----BEGIN [A-Z ]+-----|\bBearer\s+[\w.~+/-]{12,}|://[^/\s:@]+:[^/\s@]+@"
    r"|\b[rsp]k_(?:live|test)_\w{8,}"
    # A word that is only letters is no password: "Password: please reset it".
    r"|(?:password|passwd|passwort|secret|api[_ -]?key|token|kennwort|mot de passe|contraseña|clave"
    r"|senha|wachtwoord|パスワード)(?:\s*[:=\uff1a]|\s+(?:is|ist|est|es|é|è|=))\s*(?=\S*\d)\S{4,}"
    r"|(?:password|passwort|kennwort|mot de passe|contraseña|senha|wachtwoord)\s+(?=\S*\d)"
    r"(?=\S*[a-z])[^\s,;]{6,}"
    r"|\b[0-9a-f]{32,}\b",
    re.IGNORECASE,
)
# Long and mixed as nothing that people write.
_RANDOM = re.compile(
    r"(?<![\w/+=.-])(?=[\w/+-]*\d)(?=[\w/+-]*[a-z])(?=[\w/+-]*[A-Z])[A-Za-z0-9_/+-]{32,}={0,2}"
)
_UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE)
SEVERITY = re.compile(
    r"(?<![\w-])(?:P[1-4]|S(?:EV|ev)[- ]?[0-5]|Prio(?:rity|rität)? ?[1-4])(?![\w-])"
)


def addresses(p: Passage) -> Iterator[Finding]:
    """No mail address but the company's own for customers."""
    company = p.policy.company
    own = {company.support_email.lower(), company.from_email.lower()}
    for m in _EMAIL.finditer(p.visible):
        if m[0].lower().rstrip(".") not in own:
            yield p.finding("address", m.start(), "a mail address", company.support_email)


def hosts(p: Passage) -> Iterator[Finding]:
    """No network address, internal host or file path, and no link but ours."""
    text = _bare(p)
    for pattern, what in ((_IPV4, "IP"), (_IPV6, "IP"), (_HOST, "host"), (_PATH, "path")):
        for m in pattern.finditer(text):
            if m[0].lower() not in p.own_hosts:
                yield p.finding("internal", m.start(), m[0], f"leave the {what} out")
        text = blank(text, pattern)
    for key in p.policy.services:
        if re.search(r"[\d_-]", key):
            for m in re.finditer(rf"(?<![\w-]){re.escape(key)}(?![\w-])", text):
                yield p.finding("internal", m.start(), key, "name what customers use")
    for m in _SITE.finditer(text):
        if not any(m[0].lower() == h or h.endswith("." + m[0].lower()) for h in p.own_hosts):
            yield p.finding("link", m.start(), m[0], "link to the status page only")
    for start, url in p.urls:
        host = (urlsplit(url).hostname or "").lower()
        if host not in p.own_hosts:
            yield p.finding("link", start, host or url, "link to the status page only")


def references(p: Passage) -> Iterator[Finding]:
    """No ticket or incident id and no severity number towards customers."""
    if p.channel is Channel.INTERNAL:
        return
    text = _bare(p)
    for m in [*_TICKET.finditer(text), *_UUID.finditer(text)]:
        yield p.finding("ticket_id", m.start(), m[0], "leave it out")
    if p.field != "subject":  # there the rule `subject` says so
        for m in SEVERITY.finditer(text):
            yield p.finding("internal", m.start(), m[0], "say what customers notice")


def traces(p: Passage) -> Iterator[Finding]:
    """No stack trace or other words of a program that failed."""
    for m in _TRACE.finditer(p.visible):
        yield p.finding("stack_trace", m.start(), m[0], "say in plain words what went wrong")


def secrets(p: Passage) -> Iterator[Finding]:
    """No password, key or token; the finding does not repeat it."""
    for m in [*_SECRET.finditer(p.raw), *_RANDOM.finditer(p.raw)]:
        yield p.finding("secret", m.start(), f"{m[0][:4]}…", "remove it and replace the secret")


def markup(p: Passage) -> Iterator[Finding]:
    """HTML that lays out text and does nothing else: customers' pages show it as it is."""
    if p.field != "html":
        return
    pattern = (
        r"<\s*/?\s*(?:script|style|iframe|object|embed|form|input|button|link|meta|base|svg|math)\b"
        r"|<[^<>]*?[\s/\"']on\w+\s*=|(?:javascript|vbscript|data)\s*:(?=[^\s<])"
    )
    for m in re.finditer(pattern, p.raw, re.IGNORECASE):
        yield p.finding("markup", m.start(), m[0], "text, lists, tables and links only")


def _bare(p: Passage) -> str:
    """What readers see without placeholders, our links and mail addresses."""
    text = blank(p.words, PLACEHOLDER)
    return blank(text, _EMAIL)
