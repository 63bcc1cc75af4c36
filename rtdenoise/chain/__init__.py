"""Makers of stages with pedalboard's call: effects, boards, native plugins."""
