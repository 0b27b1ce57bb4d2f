"""The SBI specification (version 3.0): extensions, functions and errors by name and number."""

from __future__ import annotations

from typing import NamedTuple

SBI_SUCCESS = 0
SBI_ERR_FAILURE = -1
SBI_ERR_NOT_SUPPORTED = -2
SBI_ERR_INVALID_PARAM = -3
SBI_ERR_DENIED = -4
SBI_ERR_INVALID_ADDRESS = -5
SBI_ERR_ALREADY_AVAILABLE = -6
SBI_ERR_DENIED_LOCKED = -14

ERRORS = {
    "SBI_SUCCESS": SBI_SUCCESS,
    "SBI_ERR_FAILURE": SBI_ERR_FAILURE,
    "SBI_ERR_NOT_SUPPORTED": SBI_ERR_NOT_SUPPORTED,
    "SBI_ERR_INVALID_PARAM": SBI_ERR_INVALID_PARAM,
    "SBI_ERR_DENIED": SBI_ERR_DENIED,
    "SBI_ERR_INVALID_ADDRESS": SBI_ERR_INVALID_ADDRESS,
    "SBI_ERR_ALREADY_AVAILABLE": SBI_ERR_ALREADY_AVAILABLE,
    "SBI_ERR_DENIED_LOCKED": SBI_ERR_DENIED_LOCKED,
}
ERROR_NAMES = {code: name for name, code in ERRORS.items()}

# FWFT features, and the flag of FWFT_SET.
FWFT = {
    "MISALIGNED_EXC_DELEG": 0,
    "LANDING_PAD": 1,
    "SHADOW_STACK": 2,
    "DOUBLE_TRAP": 3,
    "PTE_AD_HW_UPDATING": 4,
    "POINTER_MASKING_PMLEN": 5,
}
SBI_FWFT_SET_FLAG_LOCK = 1
WORDS = {**FWFT, "LOCK": SBI_FWFT_SET_FLAG_LOCK}

SBI_HSM_STATE_STARTED, SBI_HSM_STATE_STOPPED = 0, 1
SBI_HSM_STATE_SUSPENDED = 4


class Extension(NamedTuple):
    """An extension: its EID and its functions in order of their FIDs."""

    eid: int
    functions: tuple[str, ...]


EXTENSIONS = {
    "base": Extension(
        0x10,
        (
            *("get_spec_version", "get_impl_id", "get_impl_version", "probe_extension"),
            *("get_mvendorid", "get_marchid", "get_mimpid"),
        ),
    ),
    "time": Extension(0x54494D45, ("set_timer",)),
    "ipi": Extension(0x735049, ("send_ipi",)),
    "rfence": Extension(
        0x52464E43,
        (
            *("remote_fence_i", "remote_sfence_vma", "remote_sfence_vma_asid"),
            *("remote_hfence_gvma_vmid", "remote_hfence_gvma"),
            *("remote_hfence_vvma_asid", "remote_hfence_vvma"),
        ),
    ),
    "hsm": Extension(0x48534D, ("hart_start", "hart_stop", "hart_get_status", "hart_suspend")),
    "srst": Extension(0x53525354, ("system_reset",)),
    "pmu": Extension(
        0x504D55,
        (
            *("num_counters", "counter_get_info", "counter_config_matching", "counter_start"),
            *("counter_stop", "counter_fw_read", "counter_fw_read_hi", "snapshot_set_shmem"),
            "event_get_info",
        ),
    ),
    "dbcn": Extension(0x4442434E, ("console_write", "console_read", "console_write_byte")),
    "susp": Extension(0x53555350, ("system_suspend",)),
    "sta": Extension(0x535441, ("steal_time_set_shmem",)),
    "fwft": Extension(0x46574654, ("set", "get")),
    "mpxy": Extension(
        0x4D505859,
        (
            *("get_shmem_size", "set_shmem", "get_channel_ids", "read_attributes"),
            *("write_attributes", "send_message_with_response", "send_message_without_response"),
            "get_notification_events",
        ),
    ),
}

# The extensions that are whole ranges of EIDs.
EXPERIMENTAL = range(0x08000000, 0x09000000)
VENDOR = range(0x09000000, 0x0A000000)


def extension_of(eid: int) -> str:
    """The name that KVM has for an EID, '' for one that it does not know."""
    if eid in EXPERIMENTAL:
        return "experimental"
    if eid in VENDOR:
        return "vendor"
    return next((name for name, e in EXTENSIONS.items() if e.eid == eid), "")


def function_of(name: str, fid: int) -> str:
    """The name of a function, '' for a FID that the extension does not have."""
    functions = EXTENSIONS[name].functions if name in EXTENSIONS else ()
    return functions[fid] if fid < len(functions) else ""
