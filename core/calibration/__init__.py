"""Which setting suits adapters that the operator has: pure arithmetic on their scores.

`knobs` says which policies could be proposed and what must be scored to compare them, `effect` what
one policy does to one adapter, `choice` which setting is proposed and whether it deserves to be,
`record` what is kept of all that.
"""
