"""Authentication at a registry (distribution-spec; Docker's token specification).
authenticator.py    the Authorization header for a request
challenge.py        WWW-Authenticate headers, parsed
tokens.py           bearer tokens from a token server"""
