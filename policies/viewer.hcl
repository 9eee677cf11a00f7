# viewer: sees what exists, who changed it and when, but no secret.

path "secret/metadata/*" {
  capabilities = ["read", "list", "scan"]
}
path "config/*" {
  capabilities = ["read", "list"]
}
path "sys/mounts" {
  capabilities = ["read"]
}
path "sys/auth" {
  capabilities = ["read"]
}
path "sys/internal/ui/mounts" {
  capabilities = ["read"]
}
path "sys/policies/acl" {
  capabilities = ["list"]
}
path "sys/policies/acl/*" {
  capabilities = ["read"]
}
path "sys/namespaces" {
  capabilities = ["list"]
}
