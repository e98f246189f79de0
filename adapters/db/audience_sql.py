"""The SQL of audiences: one statement per table, because a million contacts stay in the database.

`judged` is a temporary table of the accounts that use the meant components: those to be told have
no `excluded`. Numbers and names come from rule and policy as parameters.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import TextClause, text

from domain.audience import Reach, reach
from domain.policy import Policy
from domain.ports import AudienceRule

# An account that lists no features uses everything; one that lists a container and nothing in it
# uses all that is inside.
_USES = """
    cardinality(a.features) = 0
    OR a.features && CAST(:components AS text[])
    OR a.features && ARRAY(
        SELECT c->>'key' FROM jsonb_array_elements(CAST(:containers AS jsonb)) c
        WHERE NOT a.features && ARRAY(SELECT jsonb_array_elements_text(c->'inside')))
"""

JUDGE = text(
    f"""
    CREATE TEMPORARY TABLE judged ON COMMIT DROP AS
    WITH users AS (
        SELECT a.id, a.plan, a.region, a.last_active_at, a.activity, used.keys,
               cardinality(a.features) = 0 AS all_used,
               CAST(:regions AS text[]) AS meant_regions
        FROM accounts a
        CROSS JOIN LATERAL (
            SELECT array_agg(f ORDER BY f) FILTER (WHERE f = ANY(CAST(:components AS text[])))
                   AS keys
            FROM unnest(a.features) f
        ) used
        WHERE a.active AND cardinality(CAST(:components AS text[])) > 0 AND ({_USES})
    ),
    seen AS (
        SELECT u.*, coalesce(
            (SELECT max(CAST(e.value AS timestamptz)) FROM jsonb_each_text(u.activity) e
             WHERE e.key = ANY(CAST(:components AS text[]))),
            u.last_active_at) AS last_used
        FROM users u
    ),
    known AS (
        SELECT s.*,
            CASE
                WHEN CAST(:active_since AS timestamptz) IS NULL THEN true
                WHEN s.last_used IS NULL THEN CAST(:unknown_activity AS boolean)
                ELSE s.last_used >= :active_since
            END AS in_use,
            CASE
                WHEN cardinality(s.meant_regions) = 0 THEN true
                WHEN s.region IS NULL THEN CAST(:unknown_region AS boolean)
                ELSE s.region = ANY(s.meant_regions)
            END AS in_region
        FROM seen s
    )
    SELECT k.id AS account_id, k.in_use, k.in_region,
        CASE
            WHEN k.all_used THEN 'features unknown, counted as a user'
            WHEN k.keys IS NULL THEN 'uses a product that contains it'
            ELSE 'uses ' || array_to_string(k.keys, ', ')
        END || CASE
            WHEN cardinality(k.meant_regions) = 0 THEN ''
            WHEN k.region IS NULL THEN ', region unknown'
            ELSE ' in ' || k.region
        END AS reason,
        CASE
            WHEN NOT k.in_region AND k.region IS NULL THEN 'region unknown'
            WHEN NOT k.in_region THEN 'region ' || k.region
            WHEN k.plan = ANY(CAST(:exclude_plans AS text[])) THEN 'plan ' || k.plan
            WHEN NOT k.in_use AND k.last_used IS NULL THEN 'activity unknown'
            WHEN NOT k.in_use THEN 'not active lately'
            WHEN NOT EXISTS (SELECT FROM contacts c WHERE c.account_id = k.id) THEN 'no contact'
        END AS excluded
    FROM known k
    """
)


def judge_parameters(rule: AudienceRule, policy: Policy, now: datetime) -> dict[str, Any]:
    """What JUDGE is run with."""
    meant: Reach = reach(rule, policy)
    choice = policy.audience
    return {
        "components": list(meant.components),
        "containers": f"[{','.join(c.model_dump_json() for c in meant.containers)}]",
        "regions": list(rule.regions),
        "active_since": now - choice.active_within if choice.active_within else None,
        "unknown_activity": choice.unknown_activity == "include",
        "unknown_region": choice.unknown_region == "include",
        "exclude_plans": list(choice.exclude_plans),
    }


# `affected`: in the meant regions, told or not; `users`: the denominator of the share.
COUNT_JUDGED = text(
    """
    SELECT count(*) FILTER (WHERE in_use) AS users,
           count(*) FILTER (WHERE in_use AND in_region) AS affected,
           (SELECT count(*) FROM accounts WHERE active) AS customers
    FROM judged
    """
)

# Whoever heard the start hears the rest, whatever the new rule says.
CARRY_OVER = text(
    """
    INSERT INTO audience_members (audience_id, contact_id, account_id, reason, added_at)
    SELECT :audience, contact_id, account_id, reason, added_at
    FROM audience_members m WHERE audience_id = :before
      AND NOT EXISTS (SELECT FROM moved_accounts v
                      WHERE v.from_id = :incident AND v.account_id = m.account_id)
    """
)

# Whoever is in the audience of an incident that goes on here is in this one's, too.
TAKE_OVER = text(
    """
    INSERT INTO audience_members (audience_id, contact_id, account_id, reason, added_at)
    SELECT DISTINCT ON (m.contact_id) :audience, m.contact_id, m.account_id, m.reason,
           cast(:now AS timestamptz)
    FROM merged_incidents g
    CROSS JOIN LATERAL (SELECT a.id FROM audiences a WHERE a.incident_id = g.incident_id
                        ORDER BY a.created_at DESC LIMIT 1) newest
    JOIN audience_members m ON m.audience_id = newest.id
    WHERE g.into_id = :incident AND NOT EXISTS (
        SELECT FROM moved_accounts v
        WHERE v.from_id = g.incident_id AND v.account_id = m.account_id)
    ORDER BY m.contact_id ON CONFLICT DO NOTHING
    """
)

GROW = text(
    """
    INSERT INTO audience_members (audience_id, contact_id, account_id, reason, added_at)
    SELECT :audience, c.id, c.account_id, j.reason, :now
    FROM judged j JOIN contacts c ON c.account_id = j.account_id
    WHERE j.excluded IS NULL
    ON CONFLICT DO NOTHING
    """
)

FORGET_EXCLUSIONS = text("DELETE FROM audience_exclusions WHERE audience_id = :audience")

EXCLUDE = text(
    """
    INSERT INTO audience_exclusions (audience_id, account_id, reason)
    SELECT :audience, j.account_id, j.excluded FROM judged j
    WHERE j.excluded IS NOT NULL AND NOT EXISTS (
        SELECT FROM audience_members m
        WHERE m.audience_id = :audience AND m.account_id = j.account_id)
    """
)

COUNT_MEMBERS = text(
    """
    SELECT count(DISTINCT m.account_id) AS accounts, count(*) AS recipients,
           array_agg(DISTINCT c.locale) FILTER (WHERE c.locale IS NOT NULL) AS locales
    FROM audience_members m LEFT JOIN contacts c ON c.id = m.contact_id
    WHERE m.audience_id = :audience
    """
)

SAVED_MEMBERS = "SELECT * FROM audience_members WHERE audience_id = :audience"
SAVED_EXCLUSIONS = "SELECT * FROM audience_exclusions WHERE audience_id = :audience"
JUDGED_MEMBERS = """
    SELECT c.id AS contact_id, j.account_id, j.reason
    FROM judged j JOIN contacts c ON c.account_id = j.account_id WHERE j.excluded IS NULL
"""
JUDGED_EXCLUSIONS = """
    SELECT account_id, excluded AS reason FROM judged WHERE excluded IS NOT NULL
"""

# How a column is counted; a value that is not there counts as `unknown`.
GROUPS = ("plan", "region", "segment", "locale", "reason")


def count_groups(members: str) -> TextClause:
    """Recipients per plan, region, segment, locale and reason in one pass."""
    sets = ", ".join(f"({name})" for name in GROUPS)
    return text(
        f"""
        SELECT GROUPING({", ".join(GROUPS)}) AS bits, {", ".join(GROUPS)}, count(*) AS n
        FROM (
            SELECT m.reason, c.locale, a.plan, a.region, a.segment
            FROM ({members}) m
            JOIN accounts a ON a.id = m.account_id LEFT JOIN contacts c ON c.id = m.contact_id
        ) one
        GROUP BY GROUPING SETS ({sets})
        """
    )


def count_all(members: str) -> TextClause:
    """Accounts and recipients."""
    # Distinct accounts first: count(DISTINCT) would sort every recipient.
    return text(
        f"""
        SELECT count(*) AS accounts, coalesce(sum(n), 0)::bigint AS recipients
        FROM (SELECT count(*) AS n FROM ({members}) m GROUP BY m.account_id) one
        """
    )


def count_exclusions(exclusions: str) -> TextClause:
    return text(f"SELECT reason, count(*) AS n FROM ({exclusions}) e GROUP BY reason")


def count_channels(members: str) -> TextClause:
    """Reachable contacts (accounts for slack and teams) per channel."""
    return text(
        f"""
        WITH m AS ({members}),
        ways AS (
            SELECT channel, c.id AS recipient,
                   CASE channel WHEN 'email' THEN c.email WHEN 'sms' THEN c.phone
                                ELSE c.id END AS address
            FROM m JOIN contacts c ON c.id = m.contact_id
            JOIN accounts a ON a.id = m.account_id
            CROSS JOIN unnest(CASE WHEN cardinality(c.channels) = 0
                THEN ARRAY['email', 'in_app'] ELSE c.channels END) AS channel
            WHERE channel IN ('email', 'in_app')
               OR channel = 'sms' AND a.segment = ANY(CAST(:sms_segments AS text[]))
            UNION
            SELECT way.channel, a.id, way.address
            FROM (SELECT DISTINCT account_id FROM m) m JOIN accounts a ON a.id = m.account_id
            CROSS JOIN LATERAL (VALUES ('slack', a.slack_channel), ('teams', a.teams_webhook))
                AS way (channel, address)
            WHERE a.segment = ANY(CAST(:chat_segments AS text[]))
        )
        SELECT w.channel, count(*) AS n FROM ways w
        WHERE w.address <> '' AND NOT EXISTS (
            SELECT FROM suppressions s WHERE s.channel = w.channel AND s.address = w.address)
        GROUP BY w.channel
        """
    )


def sample(members: str) -> TextClause:
    """Five recipients, always the same ones of the same audience."""
    return text(
        f"""
        SELECT m.account_id, m.contact_id, c.email, c.locale, m.reason
        FROM ({members}) m JOIN contacts c ON c.id = m.contact_id
        ORDER BY md5(m.contact_id), m.contact_id LIMIT 5
        """
    )
