# service-account: one running service. It reads what lies under its own name, and no more.
# The name is that of its identity entity; a token without an entity gets nothing from these rules.

path "secret/data/services/{{identity.entity.name}}/*" {
  capabilities = ["read"]
}
path "secret/metadata/services/{{identity.entity.name}}/*" {
  capabilities = ["read", "list"]
}
path "config/services/{{identity.entity.name}}" {
  capabilities = ["read"]
}
path "config/services/{{identity.entity.name}}/*" {
  capabilities = ["read", "list"]
}

# Credentials made on demand, from the role of the same name.
path "database/creds/{{identity.entity.name}}" {
  capabilities = ["read"]
}

# Encryption with its own key.
path "transit/encrypt/{{identity.entity.name}}" {
  capabilities = ["update"]
}
path "transit/decrypt/{{identity.entity.name}}" {
  capabilities = ["update"]
}
