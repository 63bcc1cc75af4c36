"""Tests: one file a room, plus what every stage, every end and the layout must keep."""
