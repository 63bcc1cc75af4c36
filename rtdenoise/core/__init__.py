"""Stages and what they are made of; this room knows no torch, no files and no devices."""
