//! The functions of shim.h, one for one; their contracts stand there.

use std::ffi::{c_char, c_int, c_void};

macro_rules! handles {
    ($($name:ident),*) => { $(
        #[repr(C)]
        pub struct $name { _opaque: [u8; 0] }
    )* };
}

handles!(MtLibrary, MtBuilder, MtBlob, MtEngine, MtContext);

pub type MtProgress = Option<unsafe extern "C" fn(user: *mut c_void, phase: *const c_char, step: i32, steps: i32)>;

/// Declares the functions; in a build without headers, bodies that nobody reaches, since nothing can be opened.
macro_rules! functions {
    ($(fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $answer:ty)?;)*) => {
        #[cfg(shim)]
        unsafe extern "C" { $(pub fn $name($($arg: $type),*) $(-> $answer)?;)* }
        #[cfg(not(shim))]
        mod absent {
            use super::*;
            $(pub unsafe fn $name($(_: $type),*) $(-> $answer)? { unreachable!("built without the shim") })*
        }
        #[cfg(not(shim))]
        pub use absent::*;
    };
}

functions! {
    fn mt_headers() -> *const c_char;
    fn mt_infer_name() -> *const c_char;
    fn mt_parser_name() -> *const c_char;
    fn mt_open(infer: *const c_char, parser: *const c_char, why: *mut c_char, room: usize) -> *mut MtLibrary;
    fn mt_close(library: *mut MtLibrary);
    fn mt_version(library: *const MtLibrary) -> i32;
    fn mt_error(library: *mut MtLibrary, text: *mut c_char, room: usize);
    fn mt_parse(library: *mut MtLibrary, onnx: *const c_char) -> *mut MtBuilder;
    fn mt_profile(
        builder: *mut MtBuilder, input: *const c_char, least: *const i64, usual: *const i64, most: *const i64, rank: i32,
    ) -> c_int;
    fn mt_timing_load(builder: *mut MtBuilder, data: *const c_void, size: usize) -> c_int;
    fn mt_timing(builder: *mut MtBuilder) -> *mut MtBlob;
    fn mt_build(builder: *mut MtBuilder, tell: MtProgress, user: *mut c_void) -> *mut MtBlob;
    fn mt_builder_free(builder: *mut MtBuilder);
    fn mt_blob_data(blob: *const MtBlob) -> *const c_void;
    fn mt_blob_size(blob: *const MtBlob) -> usize;
    fn mt_blob_free(blob: *mut MtBlob);
    fn mt_load(library: *mut MtLibrary, plan: *const c_void, size: usize) -> *mut MtEngine;
    fn mt_tensor_count(engine: *const MtEngine) -> i32;
    fn mt_tensor(
        engine: *const MtEngine, index: i32, name: *mut *const c_char, is_input: *mut i32, kind: *mut i32, dims: *mut i64,
    ) -> i32;
    fn mt_engine_free(engine: *mut MtEngine);
    fn mt_context(engine: *mut MtEngine) -> *mut MtContext;
    fn mt_set_shape(context: *mut MtContext, input: *const c_char, dims: *const i64, rank: i32) -> c_int;
    fn mt_shape(context: *mut MtContext, tensor: *const c_char, dims: *mut i64) -> i32;
    fn mt_set_address(context: *mut MtContext, tensor: *const c_char, device: *mut c_void) -> c_int;
    fn mt_enqueue(context: *mut MtContext, stream: *mut c_void) -> c_int;
    fn mt_context_free(context: *mut MtContext);
}
