"""Everything a pipeline needs on one machine: Kafka, model servers, supervised workers."""
