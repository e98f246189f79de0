"""What Temporal keeps can be read with our keys, and with nothing else."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio import activity, workflow
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker

from runtime.codec import EncryptionCodec, PayloadDamaged, PayloadKeyMissing, data_converter
from runtime.payload_keys import PayloadKey, new_key, read_keys
from runtime.servers import TemporalServer
from runtime.settings import PayloadSettings, load_settings
from runtime.temporal import connect

OLD, NEW = PayloadKey("old", b"\x01" * 32), PayloadKey("new", b"\x02" * 32)
TOLD = "the-payments-database-is-on-fire"
SUMMARY = "summary-that-nobody-else-reads"
FAULT = "fault-with-words-of-ours"


def payload(text: str = TOLD) -> Payload:
    return Payload(metadata={"encoding": b"json/plain"}, data=f'"{text}"'.encode())


async def test_a_payload_comes_back_and_never_looks_the_same_twice() -> None:
    codec = EncryptionCodec([NEW])
    once, again = await codec.encode([payload(), payload()])
    assert once.data != again.data
    for sealed in (once, again):
        assert TOLD.encode() not in sealed.SerializeToString()
        assert b"json/plain" not in sealed.SerializeToString()
        assert sealed.metadata["encryption-key-id"] == b"new"
    assert await codec.decode([once, again]) == [payload(), payload()]


async def test_what_was_never_encrypted_passes_through() -> None:
    codec = EncryptionCodec([NEW])
    plain = [payload(), Payload(metadata={"encoding": b"binary/null"}), Payload()]
    assert await codec.decode(plain) == plain


async def test_the_first_key_encrypts_and_all_decrypt() -> None:
    written = await EncryptionCodec([OLD]).encode([payload()])
    rotated = EncryptionCodec([NEW, OLD])
    assert await rotated.decode(written) == [payload()]
    assert (await rotated.encode([payload()]))[0].metadata["encryption-key-id"] == b"new"


async def test_a_missing_key_is_named_with_what_to_do() -> None:
    written = await EncryptionCodec([OLD]).encode([payload()])
    with pytest.raises(PayloadKeyMissing) as refused:
        await EncryptionCodec([NEW]).decode(written)
    assert "'old'" in str(refused.value) and "put its entry back" in str(refused.value)
    assert NEW.entry not in str(refused.value)


@pytest.mark.parametrize("change", ["data", "key id", "key", "cut"])
async def test_a_changed_payload_is_refused(change: str) -> None:
    [sealed] = await EncryptionCodec([OLD]).encode([payload()])
    keys = [OLD, PayloadKey("twin", OLD.secret)]
    match change:
        case "data":
            sealed.data = sealed.data[:-1] + bytes([sealed.data[-1] ^ 1])
        case "key id":
            # The very same secret under another id: the id is bound, too.
            sealed.metadata["encryption-key-id"] = b"twin"
        case "key":
            keys = [PayloadKey("old", NEW.secret)]
        case "cut":
            sealed.data = sealed.data[:5]
    with pytest.raises(PayloadDamaged, match="does not open"):
        await EncryptionCodec(keys).decode([sealed])


def test_keys_are_read_in_order() -> None:
    made = new_key("k1")
    assert read_keys(f"{made.entry}, {OLD.entry}") == (made, OLD)
    assert made.entry not in repr(made) and new_key("k1").secret != made.secret


SHORT = base64.b64encode(b"s3cret-s3cret-s3").decode()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (f"k1:{SHORT}", "the key of k1 has 16 bytes"),
        ("k1:s3cret%%", "the key of k1 is not base64"),
        (f"{OLD.entry},{OLD.entry}", "the id old is used twice"),
        (SHORT, "entry 1 has no id"),
        (f"{OLD.entry},", "entry 2 has no id"),
        (f":{SHORT}", "entry 1 has no id"),
    ],
)
def test_a_wrong_setting_is_one_line_without_the_key(
    value: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FOREWARN_PAYLOAD_KEYS", value)
    with pytest.raises(SystemExit) as ended:
        load_settings(PayloadSettings)
    shown = capsys.readouterr().err
    assert ended.value.code == 2 and shown.count("\n") == 1
    assert shown.startswith("FOREWARN_PAYLOAD_KEYS: value (hidden) not allowed") and says in shown
    for secret in (SHORT, "s3cret", OLD.entry.partition(":")[2]):
        assert secret not in shown


def test_without_keys_nothing_changes() -> None:
    assert data_converter(None) is pydantic_data_converter


# ------------------------------------------------------------------ on a real server


@activity.defn(name="fails")
async def fails(text: str) -> str:
    raise ApplicationError(FAULT, text, type="broken", non_retryable=True)


@workflow.defn(name="Secretive")
class Secretive:
    def __init__(self) -> None:
        self.heard: list[str] = []

    @workflow.run
    async def run(self, told: str) -> str:
        workflow.set_current_details(f"details: {SUMMARY}")
        await workflow.wait_condition(lambda: bool(self.heard), timeout_summary=SUMMARY)
        try:
            await workflow.execute_activity(
                fails, told, start_to_close_timeout=timedelta(seconds=5), summary=SUMMARY
            )
        except ActivityError as error:
            return f"{told}; {error.cause}; {', '.join(self.heard)}"
        return told

    @workflow.signal
    def hear(self, text: str) -> None:
        self.heard.append(text)

    @workflow.query
    def words(self) -> list[str]:
        return self.heard


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    started = TemporalServer(tmp_path_factory.mktemp("temporal"))
    started.start()
    yield started
    started.stop()


@pytest.fixture
def no_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TEMPORAL_")]:
        monkeypatch.delenv(name)


async def played(client: Client, signal_with: Client) -> tuple[str, WorkflowHistory]:
    """One run, told `TOLD` and signalled through another client; its result and raw history."""
    queue = uuid4().hex
    async with working(client, queue):
        handle = await client.start_workflow(
            "Secretive",
            TOLD,
            id=queue,
            task_queue=queue,
            memo={"note": TOLD},
            static_summary=SUMMARY,
        )
        await signal_with.get_workflow_handle(queue).signal("hear", "by hand")
        result: str = await handle.result()
    return result, await handle.fetch_history()


def working(client: Client, queue: str) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        workflows=[Secretive],
        activities=[fails],
        workflow_runner=UnsandboxedWorkflowRunner(),
        # Nothing may be remembered: another worker reads the history anew.
        max_cached_workflows=0,
    )


def replayer(converter: DataConverter) -> Replayer:
    return Replayer(
        workflows=[Secretive],
        workflow_runner=UnsandboxedWorkflowRunner(),
        data_converter=converter,
    )


async def test_histories_are_unreadable_yet_replay_after_a_rotation_and_not_without_the_key(
    server: TemporalServer, no_profile: None, caplog: pytest.LogCaptureFixture
) -> None:
    client = await connect(server.address, EncryptionCodec([OLD]))
    # As the `temporal` command line signals: plain JSON.
    by_hand = await Client.connect(server.address, data_converter=pydantic_data_converter)
    result, history = await played(client, by_hand)
    assert result == f"{TOLD}; broken: {FAULT}; by hand"

    raw = b"".join(event.SerializeToString() for event in history.events)
    described = await by_hand.get_workflow_handle(history.workflow_id).describe()
    raw += described.raw_description.SerializeToString()
    for word in (TOLD, SUMMARY, FAULT):
        assert word.encode() not in raw
    assert b"by hand" in raw and b"Encoded failure" in raw

    await replayer(data_converter(EncryptionCodec([NEW, OLD]))).replay_workflow(history)
    # The failure's own words are encoded, with a key that there is; the log says it plainly.
    with pytest.raises(Exception, match="PayloadKeyMissing"):
        await replayer(data_converter(EncryptionCodec([NEW]))).replay_workflow(history)
    assert "encrypted with the key 'old', which FOREWARN_PAYLOAD_KEYS lacks" in caplog.text


async def test_a_run_that_is_open_goes_on_after_a_rotation(
    server: TemporalServer, no_profile: None
) -> None:
    before = await connect(server.address, EncryptionCodec([OLD]))
    after = await connect(server.address, EncryptionCodec([NEW, OLD]))
    queue = uuid4().hex
    async with working(before, queue):
        handle = await before.start_workflow("Secretive", TOLD, id=queue, task_queue=queue)
        assert await handle.query("words") == []
    async with working(after, queue):
        open_run = after.get_workflow_handle(queue)
        await open_run.signal("hear", "by the new key")
        assert "by the new key" in await open_run.result()
    raw = b"".join(e.SerializeToString() for e in (await open_run.fetch_history()).events)
    assert b"old" in raw and b"new" in raw


async def test_histories_from_before_the_switch_still_replay(
    server: TemporalServer, no_profile: None
) -> None:
    client = await connect(server.address)
    result, history = await played(client, client)
    assert result.startswith(TOLD)
    await replayer(data_converter(EncryptionCodec([NEW]))).replay_workflow(history)


async def test_everybody_connects_with_the_configured_keys(
    server: TemporalServer, no_profile: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOREWARN_PAYLOAD_KEYS", f"{NEW.entry},{OLD.entry}")
    codec = (await connect(server.address)).data_converter.payload_codec
    assert isinstance(codec, EncryptionCodec) and codec.key_ids == ("new", "old")
