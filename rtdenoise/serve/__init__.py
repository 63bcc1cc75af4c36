"""Many live streams through the effects of this machine, over WebSockets."""
