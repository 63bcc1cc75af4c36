"""Live sound: this room has the devices, the callback, and the code that drives it."""
