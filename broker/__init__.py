"""Broker: the configuration and secrets backbone for LLM platforms."""

__version__ = "0.1.0"
