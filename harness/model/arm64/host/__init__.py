"""The host layer: the kernel's tasks and its FP state management."""
