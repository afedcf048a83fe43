"""Kills the engine and the inbox at random moments, and looks whether anything was lost or doubled.

`pocketwire chaos` is for an operator, the crash suite for us; both do the same on data directories of their own, with
stand-ins for the services on loopback. On PostgreSQL there are several of each, and the server is killed as well.
"""

from recipes.chaos.killing import Chaos, cluster_chaos
from recipes.chaos.nursery import VictimFailed
from recipes.chaos.verdict import Report

__all__ = ["Chaos", "Report", "VictimFailed", "cluster_chaos"]
