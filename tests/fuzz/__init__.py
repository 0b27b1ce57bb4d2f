"""Whatever comes in: an answer or a clear error, never an internal one."""
