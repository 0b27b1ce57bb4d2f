"""The hart: its CSRs, what they trap, and what pointer masking does to an address."""
