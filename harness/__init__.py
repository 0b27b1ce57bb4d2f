"""kvm-replay: replay traces of FP/SIMD, SVE and SME state against a model of
host, hypervisor and CPU, on any kernel from v4.13 on."""

__version__ = "0.1.0"
