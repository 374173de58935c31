"""What a worker tells the outside: metrics, health and log lines."""
