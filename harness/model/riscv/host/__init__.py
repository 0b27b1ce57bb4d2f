"""arch/riscv/kernel: whose FP and vector registers are in a hart, and whose envcfg."""
