"""Kills the engine and the inbox at random moments, and looks whether anything was lost or doubled.

`pocketwire chaos` is for an operator, the crash suite for us; both do the same on a data directory of their own, with
stand-ins for the services on loopback.
"""

from recipes.chaos.killing import Chaos, VictimFailed
from recipes.chaos.verdict import Report

__all__ = ["Chaos", "Report", "VictimFailed"]
