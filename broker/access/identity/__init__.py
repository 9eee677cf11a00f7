"""Who is behind a login: entities, the names that auth methods know them by, and the groups that they are in."""
