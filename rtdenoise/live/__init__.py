"""Sound while it happens: devices, the callback, and what drives it."""
