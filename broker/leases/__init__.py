"""Leases: what is kept of a secret with a lifetime, where, and when it is looked at again."""
