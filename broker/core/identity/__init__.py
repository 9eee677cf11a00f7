"""The engine at ``identity/``: who is who in a namespace."""
