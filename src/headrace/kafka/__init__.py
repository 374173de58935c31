"""The ports of the runtime on a real Kafka."""
