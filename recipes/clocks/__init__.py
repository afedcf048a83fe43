"""Clocks: who calls the engine, and when."""
