"""Users' functions: found, checked, and called in threads, on the event loop or in processes."""
