"""kvm-replay: replay traces of the state that host, hypervisor and CPU hand to
each other against a model of all three, on any kernel from v4.13 on."""

__version__ = "0.1.0"
