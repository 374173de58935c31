"""The worker: asyncio over ports; knows no library but the standard one."""
