"""The transactional copy alone: the ceiling of any loop on this client that asks no model."""

import os

from confluent_kafka import Consumer, Producer, TopicPartition

BROKER, IN, OUT, GROUP = (os.environ[name] for name in ("BROKER", "IN", "OUT", "GROUP"))
AT_ONCE = 10_000


def main() -> None:
    """Copy for ever, as much as has come in one transaction."""
    consumer = Consumer(
        {
            "bootstrap.servers": BROKER,
            "group.id": GROUP,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "queued.min.messages": 100_000,
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": BROKER,
            "transactional.id": GROUP,
            "linger.ms": 0,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    consumer.subscribe([IN])
    producer.init_transactions()
    while True:
        messages = [each for each in consumer.consume(AT_ONCE, 0.02) if not each.error()]
        if not messages:
            continue
        producer.begin_transaction()
        offsets = {}
        for each in messages:
            partition, offset = each.partition() or 0, each.offset() or 0
            producer.produce(OUT, each.value(), each.key(), partition)
            offsets[partition] = offset + 1
        producer.send_offsets_to_transaction(
            [TopicPartition(IN, partition, offset) for partition, offset in offsets.items()],
            consumer.consumer_group_metadata(),
        )
        producer.commit_transaction()


if __name__ == "__main__":
    main()
