//! One door to the widest vector unit of the machine that runs the program.

/// Runs `work` compiled for the widest vector unit found at run time (AVX-512, AVX2 or the baseline). What `work` calls
/// must be inlined into it to gain.
#[inline(always)]
pub(crate) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// The whole number nearest to `value`, which lies from 0 to 255. Adding 2^23 leaves it in the last bits of the fraction: a
/// plain cast checks for saturation, which costs many times the rest of a loop over pixels.
#[inline(always)]
pub(crate) fn nearest(value: f32) -> u8 {
    (value + 8_388_608.0).to_bits() as u8
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    /// Pulp's features decide what it holds code for; without them everything runs, several times slower.
    #[test]
    fn what_the_machine_has_is_used() {
        let chosen = format!("{:?}", pulp::Arch::new());
        if std::is_x86_feature_detected!("avx512bw") {
            assert!(chosen.contains("V4"), "{chosen}");
        } else if std::is_x86_feature_detected!("avx2") {
            assert!(chosen.contains("V3"), "{chosen}");
        }
    }
}
