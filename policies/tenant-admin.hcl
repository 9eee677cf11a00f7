# tenant-admin: owns one tenant. Write it in the tenant's namespace; it reaches nothing outside.
# Mounts, auth methods, policies, identities, leases, child namespaces and all contents of the tenant.

path "*" {
  capabilities = ["create", "read", "update", "patch", "delete", "list", "scan"]
}

# Root-protected paths that a tenant manages for itself.
path "sys/auth/*" {
  capabilities = ["create", "read", "update", "delete", "list", "sudo"]
}
path "sys/mounts/*" {
  capabilities = ["create", "read", "update", "delete", "list", "sudo"]
}
path "sys/remount" {
  capabilities = ["update", "sudo"]
}
path "sys/leases/*" {
  capabilities = ["create", "read", "update", "list", "sudo"]
}
path "sys/policies/explain" {
  capabilities = ["update", "sudo"]
}
path "auth/token/accessors/*" {
  capabilities = ["list", "sudo"]
}
path "auth/token/create-orphan" {
  capabilities = ["create", "update", "sudo"]
}

# What belongs to those who run the installation.
path "sys/audit*" {
  capabilities = ["deny"]
}
path "sys/generate-root*" {
  capabilities = ["deny"]
}
path "sys/raw*" {
  capabilities = ["deny"]
}
path "sys/rekey*" {
  capabilities = ["deny"]
}
path "sys/rotate*" {
  capabilities = ["deny"]
}
path "sys/seal" {
  capabilities = ["deny"]
}
path "sys/step-down" {
  capabilities = ["deny"]
}
