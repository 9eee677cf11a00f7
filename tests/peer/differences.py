"""The differences from OpenBao that we allow, each with its reason. ``docs/compatibility.md`` is their public list."""

from __future__ import annotations

# Held by the masks in compare.py, for every request.
EVERYWHERE: dict[str, str] = {
    "token-prefix": "Tokens look like Vault's: `hvs.` and 24 characters, batch tokens `hvb.`; OpenBao writes `s.` and `b.`.",
    "mount-type": "The envelope has `mount_type`, as Vault's has; OpenBao leaves it out.",
    "error-wrapping": "An error is sent as its text; OpenBao wraps some in `1 error occurred:` and line breaks.",
    "error-texts": "The text of a 400 is our own sentence, except where clients match on OpenBao's.",
    "vault-keys": "`performance_standby`, the leader's addresses and `absolute_rate_limit_exempt_paths` are answered as Vault does; OpenBao leaves them out.",
    "wrapped-request-id": "A wrapped answer has its `request_id`; OpenBao leaves it empty.",
    "token-end": "`expires_at` and `capped_by` tell when a token ends and what made that earlier than asked for; OpenBao has neither.",
    "retry-after": "A 429 for a rate always says when to come back, rounded up; OpenBao says so only with its rate-limit headers on.",
    "own-versions": "Version numbers, build dates and plugin versions are our own.",
}

# Named by single steps of the scripts.
BY_STEP: dict[str, str] = {
    "cert-crl-issuer": "A revocation list of `auth/cert` speaks for the authority that signed it, and none of its clients get in once it has run out; OpenBao takes any list for every authority and for ever.",
    "cert-stars": "A `*` in the names of an `auth/cert` role stands within one label or segment, so `*.com` is not `app.example.com`; in OpenBao it stands for anything.",
    "ceremonies-by-token": "`sys/rekey` and `sys/generate-root` are there, for a token with sudo; OpenBao has them only without a token.",
    "directory-down": "An LDAP directory that does not answer, is not trusted or refuses its account is 503, and nobody's failed login; OpenBao answers 400.",
    "duplicate-share": "A share that was already given says so with 400; OpenBao silently ignores it.",
    "exact-numbers": "Integers of any size come back exactly; OpenBao turns large ones into floats.",
    "kubernetes-tells-less": "A login whose namespace cannot be looked up is refused without the cluster's own words; OpenBao passes them on.",
    "kv1-lists-are-paged": "`after` and `limit` page the lists of KV version 1 too; OpenBao ignores them there.",
    "leases-in-their-namespace": "A lease is looked up, renewed and revoked in its own namespace; OpenBao finds it from above too.",
    "namespace-wrapping": "A wrapping token is good in its namespace and those below; in OpenBao also above it.",
    "machines-are-let-in": "A role that is locked out is so for the address of the failures only, and never for a secret id that the server made.",
    "migrated-opens-by-itself": "A server that has moved to another auto seal opens by itself even while the stanza of the old one is still there; OpenBao waits for recovery shares.",
    "migration-is-over-at-once": "The answer to the last share of a seal migration says `migration: false`, for it is done; OpenBao completes it a moment later.",
    "mfa-without-a-login": "`sys/mfa/validate` answers a bare 403 where no login waits, and OpenBao 400: a stranger learns nothing.",
    "moves-stay-in-their-namespace": "A mount is moved within its namespace only, since its data lie under that namespace's own key; OpenBao copies them to another.",
    "no-5xx-for-bad-input": "A request that is wrong gets a 4xx where OpenBao answers 500.",
    "no-passwordless-bind": "A login to `ldap` without a password is refused even with `deny_null_bind=false`, which warns; OpenBao asks the directory, and some say yes.",
    "no-redirects": "Doubled slashes are served as one where OpenBao redirects; clients lose the token on a redirect.",
    "old-lease-paths": "`sys/renew`, `sys/revoke`, `sys/revoke-prefix` and `sys/revoke-force` are there, as in Vault; OpenBao has dropped them.",
    "orphans-below": "A token made in a namespace by a token from above it is an orphan there: no namespace's token depends on another's store.",
    "policy-lint": "Writing a policy that likely means something else is answered 200 with warnings instead of 204.",
    "public-keys-are-not-cached": "Public keys and discovery documents of identity tokens are answered `no-store`, like everything; OpenBao lets caches keep them for a while.",
    "renewal-after-its-role": "Renewing a token whose `auth/cert` role is gone is refused; OpenBao answers 204 and renews nothing.",
    "reset-needs-the-nonce": "Resetting an unseal in progress needs its nonce (from seal-status), so that a stranger cannot end it.",
    "root-is-not-assigned": "No auth method takes `root` for a policy, in any spelling; OpenBao stores it and refuses each login.",
    "rotation-by-default": "The barrier key rotates every 90 days and well before 2^32 uses unless configured otherwise.",
    "says-not-initialised": "A node that was never initialised says so; OpenBao says `Vault is sealed`.",
    "scans-are-paged": "`after` and `limit` page scans too; OpenBao ignores them there.",
    "shares-are-mnemonics": "Unseal key shares are SLIP-39; `keys` and `keys_base64` carry them as bytes, `keys_mnemonic` as words.",
    "strict-json": "JSON is read strictly: doubled keys, bad UTF-8, numbers beyond a float and depth over 100 are refused.",
    "strict-paths": "A path must be UTF-8; other bytes are refused with 400.",
    "signature-first": "A login by JWT verifies the token before it looks at the role, so that a stranger learns nothing of roles; OpenBao judges the caller's address first.",
    "stricter-input": "Values that mean nothing (negative counts and durations, a null secret) are refused with 400; OpenBao stores them.",
    "token-length": "A generated root token, and so its one-time password, has Vault's length of 28, not 26.",
    "unknown-names-lock-too": "Failed logins lock out a name that does not exist like one that does, so that a stranger cannot tell them apart.",
    "unknown-fields": "A field that the path does not know is refused with 400, so that a typo is noticed; OpenBao ignores it.",
    "wrong-path-or-verb": "A path or a verb that is not there is answered 400, 404 or 405; not always the one that OpenBao picks.",
}
