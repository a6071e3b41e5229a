"""HTTP/1.1 to a registry.
connection.py       one connection: sends requests, receives responses
response.py         a response and its body
dial.py             opens TCP and TLS connections, through a proxy if configured
pool.py             a pool of open connections
tls.py              TLS contexts: certificates of certs.d and of the command line
proxies.py          the proxy for a URL
url.py              URLs, parsed and joined
address_policy.py   guards against SSRF: addresses a registry may send us to
addresses.py        addresses in all their spellings
socks.py            SOCKS 5 proxies
nested_tls.py       TLS through a TLS proxy
links.py            Link headers
warnings.py         Warning headers
deadline.py         deadlines for exchanges of several reads
retry.py            retries with exponential backoff
errors.py           error responses as exceptions"""
