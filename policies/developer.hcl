# developer: works with the secrets and the configuration of applications.
# Assumes KV version 2 at secret/, configuration at config/ and encryption at transit/.

path "secret/data/*" {
  capabilities = ["create", "read", "update", "patch", "delete"]
}
path "secret/metadata/*" {
  capabilities = ["read", "list", "scan"]
}
path "secret/subkeys/*" {
  capabilities = ["read"]
}
path "secret/delete/*" {
  capabilities = ["update"]
}
path "secret/undelete/*" {
  capabilities = ["update"]
}

path "config/*" {
  capabilities = ["create", "read", "update", "patch", "list"]
}

path "transit/encrypt/*" {
  capabilities = ["create", "update"]
}
path "transit/decrypt/*" {
  capabilities = ["update"]
}

# Dynamic database credentials, by role.
path "database/creds/*" {
  capabilities = ["read"]
}

# Policies may be read, to see what they say.
path "sys/policies/acl" {
  capabilities = ["list"]
}
path "sys/policies/acl/*" {
  capabilities = ["read"]
}
