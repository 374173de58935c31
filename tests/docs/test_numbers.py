"""Numbers that the documentation promises are those of the code."""

from datetime import timedelta

import pytest

from headrace.core.concurrency import FIRST_LIMIT
from headrace.core.offset_map import LIMIT
from headrace.core.retry import RETRY_TOPIC_DELAY_S
from headrace.functions import tracebacks
from headrace.inference import http_connections, oauth
from headrace.kafka.properties import SESSION_TIMEOUT_MS, TRANSACTION_TIMEOUT_MS
from headrace.runtime import collecting, dispatcher
from headrace.runtime.worker import LIMITS, Settings
from headrace.spec.models import TopicsSpec
from headrace.spec.steps import FunctionSpec, GatherSpec, RetrySpec, SplitSpec
from headrace.wiring import PACE
from tests.docs.guarantees import prose

MIB = 2**20


def default(spec: type, field: str) -> timedelta:
    return spec.model_fields[field].default


RETRY_MS = default(RetrySpec, "first_delay") // timedelta(milliseconds=1)
LATE_DAYS = default(GatherSpec, "late_after").days
WINDOW_H = default(TopicsSpec, "trace_window") // timedelta(hours=1)
FUNCTION_S = default(FunctionSpec, "timeout").seconds

SAID = [
    ("exactly-once", f"the broker's timeout ({TRANSACTION_TIMEOUT_MS // 1000} s,"),
    ("exactly-once", f"at most {LIMIT:,} characters"),
    (
        "failures",
        f"(after {dispatcher.FIRST_PROBE_S:g} s, later every {dispatcher.SLOWEST_PROBE_S:g} s)",
    ),
    ("failures", f"The same call is repeated after {RETRY_MS} ms"),
    ("failures", f"a pause of {RETRY_TOPIC_DELAY_S:g} s or more"),
    ("ordering", f"a retry after {RETRY_TOPIC_DELAY_S:g} s or more"),
    (
        "ordering",
        f"{LIMITS.partition_records:,} finished records or {LIMITS.partition_bytes // MIB} MiB of",
    ),
    ("batching", f"{LIMITS.worker_records:,} records or {LIMITS.worker_bytes // MIB} MiB"),
    ("batching", f"headrace starts with {FIRST_LIMIT} "),
    ("batching", f"for up to {PACE.linger_s * 1e3:g} ms or {PACE.enough:,} of them"),
    ("dags", f"at most `max_children` ({SplitSpec.model_fields['max_children'].default:,})"),
    ("dags", f"`max_bytes` ({GatherSpec.model_fields['max_bytes'].default // MIB} MiB)"),
    ("dags", f"`late_after` ({LATE_DAYS} days)"),
    ("dags", f"`trace_window` ({WINDOW_H} h)"),
    ("dags", f"after {collecting.FIRST_SPILL_S:g} s, next time"),
    ("dags", f"at most {collecting.SLOWEST_SPILL_S:g} s."),
    ("dags", f"a `StrayPartError` after {collecting.REPLAY_GRACE_S:g} s"),
    ("protocols", f"kept until {oauth._EARLY_S:g} s before it expires"),
    ("protocols", f"connections idle for {http_connections.KEEP_ALIVE_S:g} s are left"),
    ("production", f"calls under way finish ({Settings('w0').drain_s:g} s at most)"),
    ("production", f"the session timeout of {SESSION_TIMEOUT_MS // 1000} s"),
    ("production", f"near {LIMIT:,} |"),
    ("functions", f"`timeout` ({FUNCTION_S}s) bounds one document"),
    ("functions", f"at most {tracebacks.LIMIT // 1024} KiB of them"),
]
FOLDER = {"production": "howto", "functions": "howto"}


@pytest.mark.parametrize(("page", "said"), SAID)
def test_a_number_on_a_page_is_that_of_the_code(page: str, said: str):
    assert said in prose(f"docs/{FOLDER.get(page, 'explanation')}/{page}.md")
