"""Kafka properties that headrace sets itself."""

from collections.abc import Mapping
from typing import Any

from headrace.spec.lint import Report

OWNED_PROPERTIES: Mapping[str, str] = {
    "bootstrap.servers": "use kafka.bootstrap_servers",
    "metadata.broker.list": "use kafka.bootstrap_servers",
    "security.protocol": "use kafka.security.protocol",
    "sasl.mechanism": "use kafka.security.mechanism",
    "sasl.mechanisms": "use kafka.security.mechanism",
    "sasl.username": "use kafka.security.username",
    "sasl.password": "use kafka.security.password",
    "sasl.oauthbearer.client.id": "use kafka.security.oauth.client_id",
    "sasl.oauthbearer.client.secret": "use kafka.security.oauth.client_secret",
    "sasl.oauthbearer.method": "kafka.security.oauth sets it",
    "sasl.oauthbearer.scope": "use kafka.security.oauth.scope",
    "sasl.oauthbearer.token.endpoint.url": "use kafka.security.oauth.token_url",
    "ssl.ca.location": "use kafka.security.tls.ca",
    "ssl.certificate.location": "use kafka.security.tls.cert",
    "ssl.key.location": "use kafka.security.tls.key",
    "ssl.key.password": "use kafka.security.tls.key_password",
    "group.protocol": "use kafka.group_protocol",
    "group.instance.id": "use kafka.membership",
    "auto.offset.reset": "use `start` of a source",
    "client.id": "it tells workers from one another",
    "group.id": "it is made of the pipeline and the step",
    "transactional.id": "it is made of the pipeline, the step and the slot",
    "enable.auto.commit": "offsets are part of the transaction",
    "enable.auto.offset.store": "offsets are part of the transaction",
    "auto.commit.interval.ms": "offsets are part of the transaction",
    "isolation.level": "exactly once needs read_committed",
    "enable.idempotence": "exactly once needs it",
    "acks": "exactly once needs all",
    "request.required.acks": "exactly once needs all",
    "max.in.flight": "the producer's order depends on it",
    "max.in.flight.requests.per.connection": "the producer's order depends on it",
    "enable.partition.eof": "headrace finds the end itself",
    "partition.assignment.strategy": "joins need range",
    "group.remote.assignor": "joins need range",
    "partitioner": "keys are placed as the Java client does",
    "transaction.timeout.ms": "it bounds how long a crash holds readers up",
    "enable.gapless.guarantee": "the transaction is the guarantee",
    "delivery.report.only.error": "every delivery is counted",
    "logger": "headrace logs for the client",
}
"""librdkafka properties that `kafka.properties` must not name, and why or what to use."""

_RESERVED_ENDING = "_cb"


def check_properties(data: Any, report: Report) -> None:
    """Report the Kafka properties that headrace sets itself."""
    kafka = data.get("kafka") if isinstance(data, Mapping) else None
    properties = kafka.get("properties") if isinstance(kafka, Mapping) else None
    for key in properties if isinstance(properties, Mapping) else ():
        reason = OWNED_PROPERTIES.get(key)
        if key.endswith(_RESERVED_ENDING):
            reason = "callbacks are headrace's"
        if reason:
            report.add(
                "E043", ("kafka", "properties", key), f"headrace sets '{key}' itself", reason
            )
