# /etc/broker/broker.hcl: one node, SQLite, TLS, an audit file.
storage "sqlite" {
  path = "/var/lib/broker"
}

listener "tcp" {
  address       = "0.0.0.0:8200"
  tls_cert_file = "/etc/broker/tls/cert.pem"
  tls_key_file  = "/etc/broker/tls/key.pem"
}

audit "file" "main" {
  options {
    file_path = "/var/log/broker/audit.log"
  }
}

api_addr = "https://broker.example.com:8200"
