"""What stays on disk: two SQLCipher databases (`carry`, `log`) over one way to use them (`db`), one keyslot.

The rule: nothing that a person wrote, and no name, key or address, is ever written outside an encrypted file.
"""
