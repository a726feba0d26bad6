"""The public names of every package, pinned: a name that comes or goes is a decision, taken here."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(
    f"tailrace.{folder.name}"
    for source in ("services", "workers", "shared")
    for folder in (ROOT / source / "tailrace").iterdir()
    if folder.is_dir() and folder.name != "__pycache__"
)
API = {
    "tailrace.access": """
        AccessError Admission Credential ExpiredTokenError Grant GrantError InsufficientScopeError
        InvalidRequestError InvalidTokenError Jwks JwksPolicy JwtRules Key KeySet NotNowError Partition
        PatternError Patterns Producer Revocation Revocations RevokedError ServiceTokens Streams UnknownKeyError
        Verifier admit check_origin compile_patterns escape_subject hmac_key keep_until partition
        pick_credential public_patterns read_key_files read_service_tokens user_channel verify_token
    """,
    "tailrace.cli": """
        main
    """,
    "tailrace.console": """
        ConsoleConfig create_app
    """,
    "tailrace.demo": """
        Sample machine
    """,
    "tailrace.edge": """
        EdgeApp EdgeConfig EdgePlugin
    """,
    "tailrace.events": """
        AWAY AWAY_S Answer Appended ChannelHistory DEFAULT_HISTORY EarlyError Follower Generations HistoryPolicy
        HistoryRule LEASE_S LogLimits LogReader LogWriter NewEvent RawEntry RefusedError Registry STATE_S Standing
        Wanted follow outcome_field read_outcome whole_entries
    """,
    "tailrace.ingest": """
        IngestConfig create_app
    """,
    "tailrace.push": """
        Batch BlockingBatch BlockingJob BlockingPusher EnqueueError Job JobReceipt JobState Push PushError Pusher
        QueueBrokenError QueueFullError RETRY_AFTER_S Receipt RedisAccessError RedisAwayError RedisBusyError
        RedisReadOnlyError RedisRefusedError TailraceError
    """,
    "tailrace.queue": """
        Again Answer Back CallQueue Claimed DeadLetter DeadLetters DeposedError Ending Filter Found Grant Jobs
        MAX_DEATHS NEVER_MS Queue QueueLimits Room Settlement Taken TakenJob printable script
    """,
    "tailrace.redis": """
        ClusterRedis Dialogue MAX_SHARDS OLDEST_REDIS OLDEST_VALKEY Pipe Refusal Remedy Scripts check_layout check_redis check_server
        connect connect_queue connect_reader disconnect lacks_files primaries read_together redact refusal server_id trouble
    """,
    "tailrace.service": """
        BoundedRequests Command HostGuard LogLine MAX_FIELDS Problem RestartBackoff SAFE_HEADERS SettingsError Sockets
        add_current_folder add_settings announce bind check_origins configure_logging end_slow exit_cause http_address is_loopback
        most_sockets own_names page_headers plain plain_json plain_lines raise_file_limit read_settings
    """,
    "tailrace.testing": """
        Listener NoEventError NotStartedError Received System tailrace tailrace_functions
    """,
    "tailrace.wire": """
        ALL BLOCK Busy CHANNEL_PATTERN CLIENT_PREFIX CONTROL_EVENTS ChannelError ClientEntry ClientInfo Connect
        Control Cursor CursorError Drain EDGE_FORMAT Entry EntryError Gap HEAD Heartbeat JOB_PREFIX Job JobError
        JobReceipt JobState Keys LABEL_LENGTH MAX_DATA_BYTES MAX_PARTITIONS Options PUSH PUSH_MANY Place PushError PushJob
        PushRequest Pushes RESERVED_EVENTS RUN_EVENTS Receipt Reset RewindMark SetupError TailraceError TooLargeError USER_PREFIX
        bucket check_channel check_event_name check_numbers check_push client_channel convert_error decode_client
        decode_cursor decode_entry decode_job decode_pushes decode_receipt decode_rewind encode_call encode_client encode_control
        encode_cursor encode_foreign encode_job encode_json_block encode_place encode_pushes encode_receipt encode_rewind encode_text_block
        format_id id_at id_parts is_block is_model_class join_places parse_id receipt_listener registered_name render stamp with_comment
        with_id with_retry
    """,
    "tailrace.worker": """
        Event WorkerConfig every function
    """,
}


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names(package: str) -> None:
    assert sorted(importlib.import_module(package).__all__) == API[package].split()


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_exist(package: str) -> None:
    module = importlib.import_module(package)
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_other_modules_are_private(package: str) -> None:
    (folder,) = importlib.import_module(package).__path__
    assert [path.name for path in Path(folder).rglob("*.py") if not path.name.startswith("_")] == []


def test_tailrace_is_a_namespace() -> None:
    assert list(ROOT.glob("*/tailrace/__init__.py")) == []
