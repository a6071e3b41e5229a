"""HTTP/1.1 to a registry.
connection.py       one connection: requests sent, responses received
response.py         a response and its body
dial.py             a TCP or TLS connection made, through a proxy where one is configured
pool.py             connections that are kept open
tls.py              TLS contexts: certificates of certs.d and of the command line
proxies.py          which proxy, if any
url.py              URLs, parsed and joined
address_policy.py   which addresses a registry may send us to
addresses.py        addresses in all their spellings
socks.py            SOCKS 5 proxies
nested_tls.py       TLS through a TLS proxy
links.py            Link headers
warnings.py         Warning headers
retry.py            how often, and after how long, a request is tried again
errors.py           error responses as errors of ours"""
