"""The KVM layer: vcpu load and put, the run loop, and hyp."""
