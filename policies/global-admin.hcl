# global-admin: runs the whole installation. Write it in the root namespace.
# Everything, root-protected paths included, but not the stored data below the barrier.

path "*" {
  capabilities = ["create", "read", "update", "patch", "delete", "list", "scan", "sudo"]
}

path "sys/raw*" {
  capabilities = ["deny"]
  comment      = "Raw storage is for recovery, under a policy of its own."
}
