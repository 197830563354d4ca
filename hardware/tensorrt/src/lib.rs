//! TensorRT for Rust: parse an ONNX file, build a plan, load it, run it. A thin C++ shim (src/shim.cpp) stands between,
//! since TensorRT has no C interface; the libraries are opened at run time, so one binary serves machines with and
//! without them. Errors carry TensorRT's own words.

#![cfg_attr(not(shim), allow(dead_code))]

mod ffi;

use std::{
    ffi::{CStr, CString, c_char, c_void},
    marker::PhantomData,
    path::{Path, PathBuf},
    ptr::NonNull,
};

/// What TensorRT could not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// This binary was built without TensorRT's headers.
    #[error("this build holds no TensorRT shim: build again with TENSORRT_INCLUDE_DIR set to TensorRT's headers")]
    NotBuilt,
    /// The libraries cannot be opened, or are too old or too new for the headers.
    #[error("{0}")]
    Open(String),
    /// A file name or tensor name with a zero byte.
    #[error("'{0}' holds a zero byte")]
    Name(String),
    /// TensorRT refused.
    #[error("{what}: {said}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// TensorRT's words.
        said: String,
    },
}

/// The largest number of axes of a tensor.
const MOST_AXES: usize = 8;

/// The opened libraries. Everything else borrows from it.
#[derive(Debug)]
pub struct Library(NonNull<ffi::MtLibrary>);

// SAFETY: the shim locks what a library shares (log and runtime); builders are made anew for each parse.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}
// SAFETY: TensorRT's objects are bound to no thread; `&mut self` keeps their use to one at a time.
unsafe impl Send for Engine<'_> {}
// SAFETY: as above.
unsafe impl Send for Context<'_> {}

fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: the shim answers zero-terminated strings that live at least until its next call.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

fn c_string(value: &str) -> Result<CString, Error> {
    CString::new(value).map_err(|_| Error::Name(value.to_owned()))
}

/// "TensorRT 11.4.0" or "TensorRT-RTX 1.7.1": the headers this was built with; none without the shim.
pub fn headers() -> Option<String> {
    // SAFETY: a constant string.
    cfg!(shim).then(|| text(unsafe { ffi::mt_headers() }))
}

/// File names of the two libraries that fit the headers: TensorRT and its ONNX parser; none without the shim.
pub fn library_names() -> Option<[String; 2]> {
    // SAFETY: constant strings.
    cfg!(shim).then(|| unsafe { [text(ffi::mt_infer_name()), text(ffi::mt_parser_name())] })
}

impl Library {
    /// Opens TensorRT from `folder`, or from where the system's loader looks.
    ///
    /// # Errors
    /// When this build has no shim, a library is not there, or its version does not fit the headers.
    pub fn open(folder: Option<&Path>) -> Result<Self, Error> {
        let names = library_names().ok_or(Error::NotBuilt)?;
        let [infer, parser] = names.map(|name| folder.map_or_else(|| PathBuf::from(&name), |f| f.join(&name)));
        let (infer, parser) = (c_string(&infer.to_string_lossy())?, c_string(&parser.to_string_lossy())?);
        let mut why = [0u8; 512];
        // SAFETY: strings and buffer live through the call, and the size is the buffer's.
        let library = unsafe { ffi::mt_open(infer.as_ptr(), parser.as_ptr(), why.as_mut_ptr().cast(), why.len()) };
        NonNull::new(library).map(Self).ok_or_else(|| Error::Open(text(why.as_ptr().cast())))
    }

    /// Major, minor and patch version of the opened library.
    pub fn version(&self) -> (i32, i32, i32) {
        // SAFETY: the handle is alive.
        let v = unsafe { ffi::mt_version(self.0.as_ptr()) };
        (v / 10000, v / 100 % 100, v % 100)
    }

    /// Parses an ONNX file.
    ///
    /// # Errors
    /// When the file cannot be read or holds an operator that TensorRT does not know.
    pub fn parse(&self, onnx: &Path) -> Result<Builder<'_>, Error> {
        let path = c_string(&onnx.to_string_lossy())?;
        // SAFETY: the handle and the string are alive.
        let builder = unsafe { ffi::mt_parse(self.0.as_ptr(), path.as_ptr()) };
        let builder = NonNull::new(builder).ok_or_else(|| self.refused("the ONNX file was not accepted"))?;
        Ok(Builder { builder, library: self })
    }

    /// Makes a plan ready to run on this machine's GPU.
    ///
    /// # Errors
    /// When the plan is damaged or of another version, or there is no GPU.
    pub fn load(&self, plan: &[u8]) -> Result<Engine<'_>, Error> {
        // SAFETY: the slice is alive and its length is its own; TensorRT checks what it holds.
        let engine = unsafe { ffi::mt_load(self.0.as_ptr(), plan.as_ptr().cast(), plan.len()) };
        let engine = NonNull::new(engine).ok_or_else(|| self.refused("the plan cannot be loaded"))?;
        Ok(Engine { engine, library: self })
    }

    fn refused(&self, what: &'static str) -> Error {
        let mut said = vec![0u8; 8192];
        // SAFETY: the handle and the buffer are alive, and the size is the buffer's.
        unsafe { ffi::mt_error(self.0.as_ptr(), said.as_mut_ptr().cast(), said.len()) };
        let said = text(said.as_ptr().cast());
        Error::Refused { what, said: if said.is_empty() { "TensorRT gives no reason".to_owned() } else { said } }
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: nothing that borrows from it is left.
        unsafe { ffi::mt_close(self.0.as_ptr()) };
    }
}

/// A parsed network on its way to a plan.
#[derive(Debug)]
pub struct Builder<'a> {
    builder: NonNull<ffi::MtBuilder>,
    library: &'a Library,
}

impl Builder<'_> {
    /// Least, usual and largest shape of an input with open axes.
    ///
    /// # Errors
    /// When the network has no such input or the shapes contradict it.
    pub fn profile(&mut self, input: &str, [least, usual, most]: [&[i64]; 3]) -> Result<(), Error> {
        let what = "the profile was not accepted";
        let rank = least.len();
        if rank != usual.len() || rank != most.len() || rank > MOST_AXES {
            return Err(Error::Refused {
                what,
                said: format!("shapes of {rank}, {} and {} axes", usual.len(), most.len()),
            });
        }
        let name = c_string(input)?;
        // SAFETY: every slice holds `rank` values.
        let done = unsafe {
            let (least, usual, most) = (least.as_ptr(), usual.as_ptr(), most.as_ptr());
            ffi::mt_profile(self.builder.as_ptr(), name.as_ptr(), least, usual, most, rank as i32)
        };
        if done == 0 { Err(self.library.refused(what)) } else { Ok(()) }
    }

    /// Takes up what earlier builds measured.
    ///
    /// # Errors
    /// When it is damaged, or of another version or GPU.
    pub fn load_timing(&mut self, data: &[u8]) -> Result<(), Error> {
        // SAFETY: the slice is alive and its length is its own.
        let done = unsafe { ffi::mt_timing_load(self.builder.as_ptr(), data.as_ptr().cast(), data.len()) };
        if done == 0 { Err(self.library.refused("the timing cache was not accepted")) } else { Ok(()) }
    }

    /// Builds the plan; `tell` hears of each step of each phase as (phase, step, steps).
    ///
    /// # Errors
    /// When TensorRT finds no way to run a layer, or runs out of memory.
    pub fn build(&mut self, mut tell: impl FnMut(&str, i32, i32)) -> Result<Blob<'_>, Error> {
        unsafe extern "C" fn forward<F: FnMut(&str, i32, i32)>(
            user: *mut c_void,
            phase: *const c_char,
            step: i32,
            steps: i32,
        ) {
            // SAFETY: `user` is the closure that `build` holds until mt_build returns; the shim's lock lets one call in.
            let tell = unsafe { &mut *user.cast::<F>() };
            // A panic must not cross C++.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| tell(&text(phase), step, steps)));
        }
        fn of<F: FnMut(&str, i32, i32)>(_: &F) -> ffi::MtProgress {
            Some(forward::<F>)
        }
        let function = of(&tell);
        let user = (&raw mut tell).cast();
        // SAFETY: the handle is alive, and the closure outlives the call.
        let blob = unsafe { ffi::mt_build(self.builder.as_ptr(), function, user) };
        self.blob(blob).ok_or_else(|| self.library.refused("the network cannot be built"))
    }

    /// What the build measured, for later builds on the same kind of GPU; none where TensorRT keeps no such cache.
    pub fn timing(&self) -> Option<Blob<'_>> {
        // SAFETY: the handle is alive.
        self.blob(unsafe { ffi::mt_timing(self.builder.as_ptr()) })
    }

    fn blob(&self, blob: *mut ffi::MtBlob) -> Option<Blob<'_>> {
        NonNull::new(blob).map(|blob| Blob { blob, builder: PhantomData })
    }
}

impl Drop for Builder<'_> {
    fn drop(&mut self) {
        // SAFETY: made by mt_parse, freed once.
        unsafe { ffi::mt_builder_free(self.builder.as_ptr()) };
    }
}

/// Bytes in TensorRT's memory.
#[derive(Debug)]
pub struct Blob<'a> {
    blob: NonNull<ffi::MtBlob>,
    builder: PhantomData<&'a ()>,
}

impl std::ops::Deref for Blob<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the memory belongs to the blob and does not change.
        unsafe {
            let blob = self.blob.as_ptr();
            std::slice::from_raw_parts(ffi::mt_blob_data(blob).cast(), ffi::mt_blob_size(blob))
        }
    }
}

impl Drop for Blob<'_> {
    fn drop(&mut self) {
        // SAFETY: made by the shim, freed once.
        unsafe { ffi::mt_blob_free(self.blob.as_ptr()) };
    }
}

/// An input or output of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name in the ONNX file.
    pub name: String,
    /// Input or output.
    pub is_input: bool,
    /// Whether its values are 32-bit floats.
    pub is_f32: bool,
    /// Length of each axis; -1 where it is open.
    pub shape: Vec<i64>,
}

/// A loaded plan.
#[derive(Debug)]
pub struct Engine<'a> {
    engine: NonNull<ffi::MtEngine>,
    library: &'a Library,
}

impl<'a> Engine<'a> {
    /// Inputs and outputs.
    pub fn tensors(&self) -> Vec<TensorInfo> {
        // SAFETY: the handle is alive.
        let count = unsafe { ffi::mt_tensor_count(self.engine.as_ptr()) };
        (0..count)
            .filter_map(|index| {
                let (mut name, mut is_input, mut kind, mut dims) = (std::ptr::null(), 0, -1, [0i64; MOST_AXES]);
                // SAFETY: every pointer is to a local of the size that the shim writes.
                let rank = unsafe {
                    let engine = self.engine.as_ptr();
                    ffi::mt_tensor(engine, index, &mut name, &mut is_input, &mut kind, dims.as_mut_ptr())
                };
                let shape = dims[..usize::try_from(rank).ok()?].to_vec();
                Some(TensorInfo { name: text(name), is_input: is_input != 0, is_f32: kind == 0, shape })
            })
            .collect()
    }

    /// Makes it ready to run.
    ///
    /// # Errors
    /// When the device's memory does not hold it.
    pub fn into_context(self) -> Result<Context<'a>, Error> {
        // SAFETY: the handle is alive.
        let context = unsafe { ffi::mt_context(self.engine.as_ptr()) };
        let context = NonNull::new(context).ok_or_else(|| self.library.refused("no execution context"))?;
        Ok(Context { context, engine: self })
    }
}

impl Drop for Engine<'_> {
    fn drop(&mut self) {
        // SAFETY: made by mt_load, freed once, after its contexts.
        unsafe { ffi::mt_engine_free(self.engine.as_ptr()) };
    }
}

/// Runs an engine on one stream.
#[derive(Debug)]
pub struct Context<'a> {
    context: NonNull<ffi::MtContext>,
    /// Dropped after the context is freed.
    engine: Engine<'a>,
}

impl<'a> Context<'a> {
    /// The engine that it runs.
    pub fn engine(&self) -> &Engine<'a> {
        &self.engine
    }

    /// Sets the shape of an input.
    ///
    /// # Errors
    /// When it lies outside the profile.
    pub fn set_shape(&mut self, input: &str, shape: &[i64]) -> Result<(), Error> {
        let name = c_string(input)?;
        // SAFETY: the slice holds as many values as are told.
        let done =
            unsafe { ffi::mt_set_shape(self.context.as_ptr(), name.as_ptr(), shape.as_ptr(), shape.len() as i32) };
        if done == 0 { Err(self.engine.library.refused("the input's shape was not accepted")) } else { Ok(()) }
    }

    /// Shape of a tensor under the input shapes that were set.
    ///
    /// # Errors
    /// When there is no such tensor.
    pub fn shape(&mut self, tensor: &str) -> Result<Vec<i64>, Error> {
        let (name, mut dims) = (c_string(tensor)?, [0i64; MOST_AXES]);
        // SAFETY: the array has room for every axis that TensorRT knows.
        let rank = unsafe { ffi::mt_shape(self.context.as_ptr(), name.as_ptr(), dims.as_mut_ptr()) };
        match usize::try_from(rank) {
            Ok(rank) => Ok(dims[..rank].to_vec()),
            Err(_) => Err(self.engine.library.refused("no shape")),
        }
    }

    /// Says where a tensor lies on the device.
    ///
    /// # Safety
    /// The memory must hold the tensor's shape in 32-bit floats and stay valid until every run that was enqueued with
    /// it has ended.
    ///
    /// # Errors
    /// When there is no such tensor or the address is not aligned.
    pub unsafe fn set_address(&mut self, tensor: &str, device: u64) -> Result<(), Error> {
        let name = c_string(tensor)?;
        // SAFETY: passed on to the caller.
        let done = unsafe { ffi::mt_set_address(self.context.as_ptr(), name.as_ptr(), device as *mut c_void) };
        if done == 0 { Err(self.engine.library.refused("the tensor's address was not accepted")) } else { Ok(()) }
    }

    /// Puts a run on a CUDA stream.
    ///
    /// # Safety
    /// `stream` must be a stream of the context that the engine was loaded in, and every tensor must have its address.
    ///
    /// # Errors
    /// When TensorRT cannot start the run. What fails later shows when the stream is waited for.
    pub unsafe fn enqueue(&mut self, stream: *mut c_void) -> Result<(), Error> {
        // SAFETY: passed on to the caller.
        let done = unsafe { ffi::mt_enqueue(self.context.as_ptr(), stream) };
        if done == 0 { Err(self.engine.library.refused("the run could not be started")) } else { Ok(()) }
    }
}

impl Drop for Context<'_> {
    fn drop(&mut self) {
        // SAFETY: made by mt_context, freed once, before its engine.
        unsafe { ffi::mt_context_free(self.context.as_ptr()) };
    }
}
