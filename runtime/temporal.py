"""The connection to Temporal and the sandbox that worker, tests and replayer share."""

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.client import Client
from temporalio.converter import PayloadCodec
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from runtime import telemetry
from runtime.codec import codec_for, data_converter
from runtime.correlation import Correlation
from runtime.settings import PayloadSettings, environment, load_settings

DEFAULT_ADDRESS = "127.0.0.1:7233"

# Passed through: importing them anew for each run costs four times the time of the run itself.
# Clocks and randomness in them are banned by ruff (TID251) instead.
PASSED_THROUGH = (
    "domain",
    "activities",
    "workflows.messages",
    "workflows.maintenance_messages",
    "annotated_types",
    "pydantic",
    "pydantic_core",
    "typing_inspection",
)


def configured_codec() -> PayloadCodec | None:
    """The codec of FOREWARN_PAYLOAD_KEYS; None where nothing is to be encrypted.

    A wrong value ends the program with code 2 and a line on stderr.
    """
    keys = load_settings(PayloadSettings).payload_keys
    return codec_for(keys.get_secret_value() if keys else None)


async def connect(
    address: str | None = None,
    codec: PayloadCodec | None = None,
    runtime: Runtime | None = None,
) -> Client:
    """Connect as the SDK's own configuration says (TEMPORAL_ADDRESS, TLS, profiles, `.env`).

    `address` as host:port overrides the configured one, `codec` that of FOREWARN_PAYLOAD_KEYS.
    `runtime` is the one of the SDK that counts; see `runtime.observing.worker_runtime`. Calls, and
    workers made with this client, carry the correlation id and, where it is on, the trace.
    Raises RuntimeError of the SDK when the server does not answer.
    """
    config = ClientConfig.load_client_connect_config(override_env_vars=environment())
    if address is not None:
        config["target_host"] = address
    config.setdefault("target_host", DEFAULT_ADDRESS)
    converter = data_converter(codec or configured_codec())
    # The id first, so that the spans carry it.
    interceptors = [Correlation(), *telemetry.temporal_interceptors()]
    return await Client.connect(
        **config, data_converter=converter, interceptors=interceptors, runtime=runtime
    )


def sandbox_runner() -> SandboxedWorkflowRunner:
    """The one workflow runner, with our pure code passed through."""
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH)
    return SandboxedWorkflowRunner(restrictions=restrictions)


def search_attribute_flags() -> list[tuple[str, str]]:
    """Name and kind of every search attribute, from the one list in `workflows.names`."""
    # Imported here so that settings and tools work without loading the workflows.
    from workflows.names import SEARCH_ATTRIBUTES

    return [(attribute.name, attribute.kind) for attribute in SEARCH_ATTRIBUTES]


async def register_search_attributes(client: Client) -> list[str]:
    """Add the search attributes the server lacks; an upsert of an unknown one jams its run.

    Returns the names added. Needs the operator service, which Temporal Cloud does not offer: there
    they are added in its own console.
    """
    operator = client.operator_service
    known = await operator.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    missing = {
        name: _indexed_type(kind)
        for name, kind in search_attribute_flags()
        if name not in known.custom_attributes
    }
    if missing:
        await operator.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
        )
    return sorted(missing)


def _indexed_type(kind: str) -> IndexedValueType.ValueType:
    words = {"KeywordList": "KEYWORD_LIST"}
    return IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{words.get(kind, kind.upper())}")
