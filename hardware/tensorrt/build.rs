//! Compiles the shim where TensorRT's headers are; nothing is linked, since the libraries are opened at run time.

use std::{env, fs, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=TENSORRT_INCLUDE_DIR");
    println!("cargo::rerun-if-changed=src/shim.cpp");
    println!("cargo::rerun-if-changed=src/shim.h");
    let named = env::var("TENSORRT_INCLUDE_DIR").unwrap_or_default();
    if named.is_empty() && env::var_os("CARGO_FEATURE_SHIM").is_some() {
        println!(
            "cargo::error=the feature `tensorrt` needs TensorRT's headers: set TENSORRT_INCLUDE_DIR to the folder that holds \
             NvInfer.h and NvOnnxParser.h (TensorRT 10 or 11, or TensorRT-RTX), or to `none` to check the code without a shim"
        );
        return;
    }
    // Without headers the Rust side still compiles, so that it can be checked everywhere; opening TensorRT then fails.
    if named.is_empty() || named == "none" {
        return;
    }
    let headers = PathBuf::from(&named);
    for header in ["NvInfer.h", "NvOnnxParser.h"] {
        if !headers.join(header).is_file() {
            println!("cargo::error=TENSORRT_INCLUDE_DIR is {named}, where there is no {header}");
            return;
        }
    }
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").file("src/shim.cpp").flag("-isystem").flag(&named);
    // TensorRT's headers want two type names of the CUDA toolkit and nothing else of it.
    let cuda = env::var_os("CUDA_HOME").map(|home| PathBuf::from(home).join("include"));
    match cuda.filter(|include| include.join("cuda_runtime_api.h").is_file()) {
        Some(include) => {
            build.flag("-isystem").flag(include);
        }
        None => {
            let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
            let text =
                "#pragma once\ntypedef struct CUstream_st* cudaStream_t;\ntypedef struct CUevent_st* cudaEvent_t;\n";
            if let Err(error) = fs::write(out.join("cuda_runtime_api.h"), text) {
                println!("cargo::error={} cannot be written: {error}", out.display());
                return;
            }
            build.flag("-idirafter").flag(out);
        }
    }
    build.compile("metaphased_tensorrt_shim");
    println!("cargo::rustc-cfg=shim");
}
