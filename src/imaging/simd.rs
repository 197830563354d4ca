//! One door to the widest vector unit of the machine that runs the program.

/// Runs `work` compiled for the widest vector unit found at run time (AVX-512, AVX2 or the baseline). What `work` calls
/// must be inlined into it to gain.
#[inline(always)]
pub(crate) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}
