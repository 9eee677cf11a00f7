"""The barrier: everything that storage sees is encrypted here, and only here.

Seal key (from shares, or a service) -> root key -> keyring -> one data key per tenant and term -> entries.

- ``envelope``, ``keyring``, ``codec``, ``budget``: sealing and opening entries while the node serves.
- ``shares``, ``progress``, ``custodians``, ``issue``: parts of a key, and the people who keep them.
- ``records``, ``encoding``: what is stored in clear, and how it is read.
- ``initialise``, ``unseal``, ``migrate``, ``rekey``, ``generate_root``, ``rotate``; ``authority``, ``doors`` and
  ``ceremonies``, which they share.

docs/seal.md tells the whole; docs/decisions/0002-keys.md tells why.
"""
