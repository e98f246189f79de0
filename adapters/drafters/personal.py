"""What a message has of its own for each recipient: why they get it, and links in their name."""

from __future__ import annotations

import re

from adapters.drafters.catalog import Catalog
from adapters.drafters.facts import IN_A_SENTENCE
from adapters.drafters.named import named
from domain.message import Facts, Moment, Recipient
from domain.policy import Policy
from domain.tokens import sign

UNSUBSCRIBE = "unsubscribe"
# What the token behind `links["object"]` is for: `m` is the maintenance, `c` the contact that
# objects, or `a` the account where a channel belongs to one as a whole.
OBJECTION = "objection"
_ABOUT_MAINTENANCE = frozenset(m for m in Moment if m.startswith("maintenance"))
_KEY = re.compile(r"[\w-]+")
_CACHED = 2048


class Personal:
    """Writes the footer's reason and signs links; safe to share between deliveries."""

    def __init__(self, policy: Policy, catalog: Catalog, public_url: str, secret: str) -> None:
        self._catalog = catalog
        self._public_url = public_url
        self._secret = secret
        self._names = {c.key: c.names for c in policy.component_list() if c.names}
        self._whys: dict[tuple[str, str, str], str] = {}

    def why(self, locale: str, reason: str, moment: Moment) -> str:
        """Why this person gets the mail, in their language.

        The audience's reason is written for colleagues; what customers may read of it are the
        components it names.
        """
        default = "why_maintenance" if moment in _ABOUT_MAINTENANCE else "why_default"
        found = self._whys.get((locale, reason, default))
        if found is None:
            mail = self._catalog.words(locale).mail
            known = [self._names[k] for k in _KEY.findall(reason) if k in self._names]
            names = [n.get(locale) or next(iter(n.values())) for n in known]
            found = mail[default]
            if names:
                # The mail's table names them all.
                most = IN_A_SENTENCE if len(names) > IN_A_SENTENCE + 1 else len(names)
                components = named(names, most, self._catalog, locale)
                found = mail["why"].format(components=components)
            if len(self._whys) >= _CACHED:
                self._whys.clear()
            self._whys[(locale, reason, default)] = found
        return found

    def unsubscribe_url(self, recipient: Recipient) -> str | None:
        """Where one click stops these mails; None for whoever is no contact of ours."""
        if recipient.contact_id is None:
            return None
        token = sign(self._secret, UNSUBSCRIBE, {"c": recipient.contact_id, "ch": "email"})
        return f"{self._public_url}/unsubscribe/{token}"

    def objection_url(self, facts: Facts, recipient: Recipient) -> str:
        """Where this recipient can object to a maintenance; empty where nobody can."""
        base = facts.links.get("object", "")
        if not base or not (recipient.contact_id or recipient.account_id):
            return base
        # The contact tells the account; a shorter link is easier on a phone.
        who = {"c": recipient.contact_id} if recipient.contact_id else {"a": recipient.account_id}
        return f"{base}/{sign(self._secret, OBJECTION, {'m': facts.incident_id} | who)}"
