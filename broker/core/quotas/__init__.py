"""Quotas: how often an address may call, and how many tokens and leases may live."""
