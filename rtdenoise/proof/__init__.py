"""What a generator and this machine can do; it drives all three ends."""
