"""Which release a worker belongs to, where Temporal's worker versioning rolls releases out."""

from __future__ import annotations

from collections.abc import Mapping

from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import WorkerDeploymentConfig

from domain.errors import BadInput, FieldError

# The names under which Temporal's own worker controller hands them to a worker.
DEPLOYMENT_NAME = "TEMPORAL_DEPLOYMENT_NAME"
BUILD_ID = "TEMPORAL_WORKER_BUILD_ID"


def deployment(env: Mapping[str, str]) -> WorkerDeploymentConfig | None:
    """The worker's deployment version, None when versioning is not used.

    Incidents last for days, so that they move on to the version that is current instead of
    keeping an old worker alive; `workflow.patched` keeps that safe. Raises BadInput when only one
    of the two variables is set: a worker without a version beside versioned ones gets no work.
    """
    name, build = env.get(DEPLOYMENT_NAME, ""), env.get(BUILD_ID, "")
    if not name and not build:
        return None
    if not name or not build:
        missing, given = (BUILD_ID, DEPLOYMENT_NAME) if name else (DEPLOYMENT_NAME, BUILD_ID)
        raise BadInput(
            f"{missing}: value missing; allowed: set with {given}, or neither",
            [FieldError(field=missing, value="", allowed="both variables or neither")],
        )
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(deployment_name=name, build_id=build),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
    )
