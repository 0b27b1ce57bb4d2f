"""Tracepoints that say nothing of FP state, and may come between any two lines.

include/trace/events, arch/arm64/kvm/trace_arm.h, trace_handle_exit.h and vgic/trace.h,
virt/kvm and drivers/irqchip, as Linux 5.10, 6.1, 6.12, 7.2 and 7.3 have them. The follower passes
over them.
"""

from __future__ import annotations

_SYSTEMS = {
    "irq": "irq_handler_entry irq_handler_exit softirq_entry softirq_exit softirq_raise "
    "tasklet_entry tasklet_exit",
    "ipi": "ipi_entry ipi_exit ipi_raise ipi_send_cpu ipi_send_cpumask",
    "timer": "timer_init timer_start timer_expire_entry timer_expire_exit timer_cancel "
    "timer_base_idle hrtimer_init hrtimer_setup hrtimer_start hrtimer_expire_entry "
    "hrtimer_expire_exit hrtimer_cancel itimer_state itimer_expire tick_stop",
    "sched": "sched_wakeup_new sched_process_free sched_process_hang sched_process_wait "
    "sched_stat_wait sched_stat_sleep sched_stat_iowait sched_stat_blocked sched_stat_runtime "
    "sched_pi_setprio sched_kthread_stop sched_kthread_stop_ret sched_kthread_work_queue_work "
    "sched_kthread_work_execute_start sched_kthread_work_execute_end sched_move_numa "
    "sched_stick_numa sched_swap_numa sched_wake_idle_without_ipi sched_wait_task "
    "sched_prepare_exec sched_skip_vma_numa",
    "signal": "signal_generate",
    "task": "task_newtask task_rename",
    "workqueue": "workqueue_queue_work workqueue_activate_work workqueue_execute_start "
    "workqueue_execute_end",
    "rcu": "rcu_utilization",
    "power": "cpu_idle cpu_frequency cpu_frequency_limits",
    "exceptions": "page_fault_user page_fault_kernel",
    "kvm": "kvm_guest_fault kvm_access_fault kvm_irq_line kvm_mmio kvm_mmio_emulate "
    "kvm_mmio_nisv kvm_unmap_hva_range kvm_set_spte_hva kvm_age_hva kvm_test_age_hva "
    "kvm_set_way_flush kvm_toggle_cache kvm_timer_update_irq kvm_get_timer_map "
    "kvm_timer_save_state kvm_timer_restore_state kvm_timer_hrtimer_expire kvm_timer_emulate "
    "kvm_nested_eret kvm_inject_nested_exception kvm_forward_sysreg_trap kvm_wfx_arm64 "
    "kvm_hvc_arm64 kvm_arm_setup_debug kvm_arm_clear_debug kvm_arm_set_dreg32 "
    "kvm_arm_set_regset kvm_handle_sys_reg kvm_sys_access kvm_set_guest_debug trap_reg "
    "vgic_update_irq_pending kvm_vcpu_wakeup kvm_set_irq kvm_ack_irq kvm_fpu "
    "kvm_halt_poll_ns kvm_dirty_ring_push kvm_dirty_ring_reset kvm_dirty_ring_exit",
}
BACKGROUND = frozenset(name for names in _SYSTEMS.values() for name in names.split())
