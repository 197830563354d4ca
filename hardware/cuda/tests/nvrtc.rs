//! NVRTC compiles every kernel for every generation of GPU; no GPU is needed. scripts/test-cuda-kernels runs this.
#![cfg(feature = "gpu")]

use metaphased_cuda::{Error, compile};

#[test]
fn every_kernel_compiles_for_every_generation() {
    for capability in ["75", "80", "86", "89", "90", "100", "120"] {
        let begun = std::time::Instant::now();
        let ptx = match compile(capability) {
            Ok(ptx) => ptx,
            Err(Error::Absent(reason)) => {
                assert!(std::env::var_os("METAPHASED_NVRTC").is_none(), "{reason}");
                return eprintln!("SKIPPED: {reason}");
            }
            Err(error) => panic!("compute_{capability}: {error}"),
        };
        let entries = ptx.matches(".entry").count();
        assert_eq!(entries, 9, "compute_{capability}");
        // Elsewhere exp, log and double division bring their own; here any would be a contracted product and sum.
        let crops = ptx.split(".entry").find(|part| part.trim_start().starts_with("cut_crops")).expect("the kernel");
        assert!(crops.contains("mul") && !crops.contains("fma.rn"), "contracted for compute_{capability}");
        println!(
            "compute_{capability}: {entries} kernels, {} bytes of PTX in {} ms",
            ptx.len(),
            begun.elapsed().as_millis()
        );
    }
}
