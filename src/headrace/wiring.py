"""The composition root: a compiled pipeline becomes workers over real adapters."""
