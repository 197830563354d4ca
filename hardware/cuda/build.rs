//! Compiles the kernels for the host where that is asked for.

fn main() {
    println!("cargo::rerun-if-changed=kernels");
    #[cfg(feature = "host")]
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .opt_level(2)
        .define("METAPHASED_HOST", None)
        // As on the device: no multiply and add in one rounding.
        .flag("-ffp-contract=off")
        .include("kernels")
        .file("kernels/host.cpp")
        .compile("metaphased_kernels_on_host");
}
