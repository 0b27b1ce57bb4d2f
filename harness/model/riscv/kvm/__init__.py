"""arch/riscv/kvm: vcpus, their ISA, ONE_REG, SBI, and what is loaded for them."""
