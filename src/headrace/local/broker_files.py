"""The files a single KRaft broker starts from."""

from collections.abc import Mapping
from pathlib import Path

_LOGGING = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""


def broker_properties(
    port: int, controller_port: int, log_dir: Path, overrides: Mapping[str, str]
) -> dict[str, str]:
    """Return the settings of one node that is broker and controller.

    Replication is 1 and internal topics have few partitions, because there is one node. Groups
    form without the initial delay, and members may ask for short sessions (classic: 1 s,
    KIP-848: 5 s; the defaults stay what Kafka says). Topics are not created by accident.

    Args:
        port: Where clients connect, on the loopback address only.
        controller_port: Where the node talks to its own controller.
        log_dir: Folder of the topics' data.
        overrides: Settings that replace or extend these.
    """
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(log_dir),
        # After SIGKILL the node may register again only when its former session has ended.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "auto.create.topics.enable": "false",
        "default.replication.factor": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "8",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "group.consumer.min.session.timeout.ms": "5000",
        "group.consumer.min.heartbeat.interval.ms": "500",
        **overrides,
    }


def write_files(folder: Path, properties: Mapping[str, str]) -> tuple[Path, Path]:
    """Write the settings and the logging configuration; return both paths."""
    settings, logging = folder / "server.properties", folder / "log4j2.properties"
    settings.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    logging.write_text(_LOGGING)
    return settings, logging
