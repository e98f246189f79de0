"""Patterns of what must stay in the house and stands in one word: hosts, addresses, ids, keys.

A text is cut into its words of Latin letters first; each of the few that are more than letters is
then tried, and what it is is remembered, for the same times and links come again and again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

IPV4 = re.compile(
    r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.]*\d)"
)
# Four groups or a double colon: "13:05:20" is a time.
IPV6 = re.compile(
    r"(?<![\w:])(?:(?:[0-9a-f]{1,4}:){3,7}(?::|[0-9a-f]{1,4})(?::?[0-9a-f]{1,4})*"
    r"|(?:[0-9a-f]{1,4}:){1,6}(?::[0-9a-f]{1,4}){1,6}|(?:[0-9a-f]{1,4}:){1,7}:(?=/)"
    r"|::(?:ffff:)?[0-9a-f]{1,4})(?:/\d{1,3})?(?![\w:])",
    re.IGNORECASE,
)
# Words with a figure after a hyphen that name no machine.
_COMMON = (
    "step|top|level|tier|phase|part|option|utf|sha|covid|stufe|mi|iso|tls|ssl|ipv|web|type|typ"
    "|section|schritt|teil|fase|nivel|nivå|livello|niveau|etapa|zona|zone|point|punto|formula|plan"
)
HOST = re.compile(
    r"(?<![\w@.-])(?:[a-z0-9_](?:[\w-]*[a-z0-9])?\.)+"
    r"(?:internal|intern|local|localdomain|lan|corp|intra|intranet|private|cluster|svc|consul|home)"
    r"(?:\.[\w.-]+)?(?![\w-])"
    r"|(?<![\w@.-])localhost(?::\d+)?(?!\w)"
    r"|(?<![\w@.-])ip-\d+(?:-\d+){3}\b"
    r"|(?<![\w@./-])(?=[\w.-]*[\d_-])[a-z][\w-]*(?:\.[a-z0-9][\w-]*){2,}(?![\w-])"
    r"|(?<![\w@./-])[a-z][a-z0-9-]*(?:\.[a-z0-9-]+)+:\d{2,5}\b"
    rf"|(?<![\w.-])(?!(?:{_COMMON})-\d)"
    r"[a-z][a-z0-9]+(?:-[a-z0-9]+)*-\d{1,4}(?:[a-z]\b|\b)(?:\.[\w.-]+)?"
    r"|(?<![\w.-])(?:web|db|app|srv|api|cache|redis|mysql|pg|host|server|worker|proxy|lb|node|vm"
    r"|kafka|mongo|prod|stg|auth|mail|queue)\d{1,3}(?![\w-])"
    r"|(?<![\w.-])[A-Za-z]{2,}(?:-[A-Za-z]{2,})+-\d{1,4}(?![\w-])"
    r"|(?<![\w.-])[a-z]{2,12}(?:_[a-z0-9]{2,})+(?![\w-])"
    r"|(?<![\w.-])(?:i|vol|sg|vpc|subnet|ami|eni|snap)-[0-9a-f]{8,17}\b|\barn:aws[\w:/-]+"
    r"|(?<![\w.-])[a-z][a-z0-9]*(?:-[a-z0-9]+)*-(?=[a-z0-9]*\d)[a-z0-9]{7,10}-[a-z0-9]{5}\b",
    re.ASCII,
)
PATH = re.compile(
    r"(?<![\w/:.])/(?:var|etc|usr|opt|home|tmp|srv|root|proc|mnt|data|app|bin|dev|lib|run|sys)"
    r"/[\w./-]+|\b[A-Z]:\\[\w\\.-]+|\\\\[\w.-]+\\[\w\\.$-]+|(?<![\w/])~/[\w./-]{3,}"
)
# Addresses of sites without the "https://" before them.
SITE = re.compile(
    r"(?<![\w@./-])(?:[a-z0-9][a-z0-9-]*\.)+(?:com|net|org|io|dev|cloud|example|eu|de|fr|es|br|jp"
    r"|nl|it|app|ai|co|info|me|tech|xyz|ly|gg|page|site|us|uk|ch|at)(?![\w-]|\.\w)",
    re.IGNORECASE | re.ASCII,
)
TICKET = re.compile(
    r"(?<![\w-])(?!(?:UTF|SHA|ISO|TLS|SSL|HTTP|RFC|MD|COVID|AES|RSA|UTC|GMT|IPV|ES|H|MP|A|B"
    r"|SOC|PSD|WPA|PCI|EN|DIN|BS|BRT|CET|EMV|IEC|TOP|Q|Y|G|USB|CAT|CVE|SAP|IEEE|ASCII|IP|P|CEST"
    r"|JST|BST|EST|PST|MEZ|ECMA|RC|BASE|PDF|MP|FIPS|NIST)-)"
    r"[A-Z][A-Z0-9]{1,9}-\d{1,7}(?![\w-])"
    r"|\b(?:INC|CHG|PRB|REQ|TASK|CASE|JIRA|CVE|RITM|SR|TKT|TICKET|CS)[-_]?\d{4,}\b"
    r"|(?<![\w-])[A-Z]{2,6}-(?=[A-Z]*\d)(?=\d*[A-Z])[A-Z0-9]{6,}(?![\w-])"
    r"|(?<![\w-])(?=[A-Z0-9]*\d[A-Z]+\d)[A-Z0-9]{10,}(?![\w-])|\w[\w.-]*/[\w.-]+#\d+\b"
    r"|(?<![\w&/])#\d{3,}\b|\binc_[a-z2-7]{6,}\b|\bCVE-\d{4}-\d+\b",
    re.ASCII,
)
UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE)
SEVERITY = re.compile(
    r"[PS](?<![\w-].)(?:(?<=P)[0-5]|(?<=S)(?:EV|ev)(?:erity)?[- ]?[0-5]|(?<=P)rio(?:rity|rität"
    r"|rité|ridad|ridade|rità|riteit)?[- ]?[0-5])(?![\w-])"
)
KEYS = re.compile(
    r"\b(?:AKIA|ASIA)[0-9A-Z]{12,}|\bsk-[\w-]{16,}|\bxox[a-z]-[\w-]{8,}|\bgh[pousr]_\w{16,}"
    r"|\bgithub_pat_\w{10,}|\bglpat-[\w-]{12,}|\bAIza[\w-]{20,}|\bya29\.[\w-]{10,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?|://[^/\s:@]*:[^/\s@]+@|\bSG\.[\w-]{10,}\.[\w-]{10,}"
    r"|\b[rsp]k_(?:live|test)_\w{8,}|\bwhsec_\w{8,}|\bnpm_\w{20,}|\bhf_\w{20,}|\bdop_v1_\w{20,}"
    r"|\bdckr_pat_[\w-]{10,}|\bpypi-[\w-]{16,}|\bAC[0-9a-f]{32}\b|\bkey-[0-9a-f]{16,}"
    r"|\b[0-9a-f]{32,}\b",
    re.IGNORECASE,
)
# Long and mixed as nothing that people write.
RANDOM = re.compile(
    r"(?<![\w/+=.-])(?=[\w/+-]*\d)(?=[\w/+-]*[a-z])(?=[\w/+-]*[A-Z])[A-Za-z0-9_/+-]{24,}={0,2}"
    # A key with its kind before it, as many services write theirs: "ak_prod_…".
    r"|(?<![\w-])[a-z]{2,6}_(?:[a-z]{2,8}_)?(?=\w*\d)(?=\w*[a-z])(?=\w*[A-Z])[A-Za-z0-9]{8,}(?!\w)"
    # A password: letters of both sizes with figures between them, and a sign.
    r"|^[(\"']?(?=\S*[a-z])(?=\S*[A-Z])(?=\S*[A-Za-z]\d+[A-Za-z])(?=\S*[!@#$%^&*+=~]\S)"
    r"[^\s/:,.()]{8,40}(?=[.,;:)\"']*$)"
)
_LATIN = re.compile("[!-~\u00a1-\u024f]+")
_EDGES = ".,;:!?()\"'*_»«¿¡\u2026"
_PLAIN = re.compile(r"[^\W\d_]+|\d{1,2}[:.]\d\d|\d+(?:[.,]\d+)?%?")
_LONGEST = 1000
_KINDS = (
    ("secret", KEYS), ("secret", RANDOM), ("IP", IPV4), ("IP", IPV6), ("path", PATH),
    ("ticket", UUID), ("ticket", TICKET), ("host", HOST), ("site", SITE),
)  # fmt: skip


def found(text: str) -> Iterator[tuple[str, int, str]]:
    """What is in a text: the kind, where it stands, and what it is."""
    for m in _LATIN.finditer(text):
        bare = m[0].strip(_EDGES)
        if bare and _PLAIN.fullmatch(bare) is None:
            # Hostile text may be one word of any length: in pieces it costs no more than another.
            for begin in range(0, len(m[0]), _LONGEST):
                for kind, at, said in _of(m[0][begin : begin + _LONGEST]):
                    yield kind, m.start() + begin + at, said


@lru_cache(maxsize=4096)
def _of(token: str) -> tuple[tuple[str, int, str], ...]:
    out, taken = [], token
    for kind, pattern in _KINDS:
        for m in pattern.finditer(taken):
            out.append((kind, m.start(), m[0]))
        taken = pattern.sub(lambda m: " " * len(m[0]), taken)
    return tuple(out)
