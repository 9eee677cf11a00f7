# operator: keeps the installation running without seeing what is stored in it.

path "sys/health" {
  capabilities = ["read"]
}
path "sys/metrics" {
  capabilities = ["read"]
}
path "sys/leader" {
  capabilities = ["read"]
}
path "sys/host-info" {
  capabilities = ["read"]
}
path "sys/seal" {
  capabilities = ["update", "sudo"]
}
path "sys/step-down" {
  capabilities = ["update", "sudo"]
}
path "sys/key-status" {
  capabilities = ["read"]
}
path "sys/rotate*" {
  capabilities = ["read", "update", "sudo"]
}

# Mounts and auth methods: see and tune, neither create nor remove.
path "sys/mounts" {
  capabilities = ["read"]
}
path "sys/mounts/+/tune" {
  capabilities = ["read", "update", "sudo"]
}
path "sys/auth" {
  capabilities = ["read"]
}
path "sys/auth/+/tune" {
  capabilities = ["read", "update", "sudo"]
}
path "sys/internal/ui/mounts" {
  capabilities = ["read"]
}

# Policies and namespaces: see, not change.
path "sys/policies/acl" {
  capabilities = ["list"]
}
path "sys/policies/acl/*" {
  capabilities = ["read", "list"]
}
path "sys/namespaces" {
  capabilities = ["list"]
}
path "sys/namespaces/*" {
  capabilities = ["read", "list"]
}

# Leases and audit devices.
path "sys/leases/lookup/*" {
  capabilities = ["list", "sudo"]
}
path "sys/leases/lookup" {
  capabilities = ["update"]
}
path "sys/leases/revoke" {
  capabilities = ["update"]
}
path "sys/leases/tidy" {
  capabilities = ["update"]
}
path "sys/leases/count" {
  capabilities = ["read"]
}
path "sys/audit" {
  capabilities = ["read", "list", "sudo"]
}
