//! A GPU: context, stream, pinned memory, kernels through NVRTC, networks through TensorRT. cudarc opens the libraries
//! when they are first used; where one is missing it panics, so each is asked for before.

use std::{ffi::c_void, fs, path::Path, sync::Arc};

use cudarc::{
    driver::{CudaContext, CudaFunction, CudaSlice, CudaStream, DevicePtr, DriverError, PinnedHostSlice, result, sys},
    nvrtc::{CompileOptions, Ptx, compile_ptx_with_opts},
};
use metaphased_tensorrt::Context;
use sha2::{Digest, Sha256};

use crate::{Backend, Buffer, Device, Error, Memory, params::Kernel, source};

fn failed(what: &'static str) -> impl FnOnce(DriverError) -> Error {
    move |error| Error::Failed { what, said: error.to_string() }
}

/// What a GPU is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuFacts {
    /// Its name: "NVIDIA H100 80GB HBM3".
    pub name: String,
    /// Compute capability: (9, 0).
    pub capability: (i32, i32),
    /// Bytes of memory.
    pub memory: usize,
    /// CUDA version of the driver: 12040 for 12.4.
    pub driver: i32,
}

/// Opens a GPU just to say what it is.
///
/// # Errors
/// When there is no driver or no such GPU.
pub fn gpu_facts(number: usize) -> Result<GpuFacts, Error> {
    facts(&*context(number)?)
}

fn context(number: usize) -> Result<Arc<CudaContext>, Error> {
    // SAFETY: only tries to open the library.
    if !unsafe { sys::is_culib_present() } {
        return Err(Error::Absent(
            "no CUDA driver: libcuda.so is not installed (it comes with NVIDIA's driver)".to_owned(),
        ));
    }
    let absent = |error: DriverError| Error::Absent(format!("the CUDA driver finds no GPU it can use: {error}"));
    let count = result::init().and_then(|()| CudaContext::device_count()).map_err(absent)?;
    if usize::try_from(count).unwrap_or(0) <= number {
        return Err(Error::Absent(format!("GPU {number} was asked for, the driver sees {count}")));
    }
    CudaContext::new(number).map_err(absent)
}

fn facts(context: &CudaContext) -> Result<GpuFacts, Error> {
    let what = failed("the GPU does not say what it is");
    let told = || -> Result<GpuFacts, DriverError> {
        let mut driver = 0;
        // SAFETY: writes one integer.
        unsafe { sys::cuDriverGetVersion(&raw mut driver) }.result()?;
        Ok(GpuFacts {
            name: context.name()?,
            capability: context.compute_capability()?,
            memory: context.total_mem()?,
            driver,
        })
    };
    told().map_err(what)
}

/// Compiles all kernels for a compute capability, "75" or "90" say: PTX.
///
/// # Errors
/// When NVRTC is not there or does not know the capability.
pub fn compile(capability: &str) -> Result<String, Error> {
    // SAFETY: only tries to open the library.
    if !unsafe { cudarc::nvrtc::sys::is_culib_present() } {
        return Err(Error::Absent(
            "no NVRTC: libnvrtc is not installed (CUDA toolkit, or the wheel nvidia-cuda-nvrtc-cu12)".to_owned(),
        ));
    }
    let options = CompileOptions {
        fmad: Some(false),
        options: vec![format!("--gpu-architecture=compute_{capability}"), "--std=c++17".to_owned()],
        name: Some("metaphased.cu".to_owned()),
        ..CompileOptions::default()
    };
    let said = |error| Error::Failed { what: "NVRTC refuses the kernels", said: format!("{error:?}") };
    compile_ptx_with_opts(source(), options).map(|ptx| ptx.to_src()).map_err(said)
}

/// The kernels from the cache, else compiled and kept there.
fn compiled(capability: (i32, i32), cache: Option<&Path>) -> Result<String, Error> {
    let digest = Sha256::digest(source().as_bytes());
    let hash: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let name = format!("kernels-{hash}-sm{}{}.ptx", capability.0, capability.1);
    let file = cache.map(|folder| folder.join(name));
    if let Some(text) = file.as_ref().and_then(|file| fs::read_to_string(file).ok())
        && text.contains(".target")
        && text.trim_end().ends_with('}')
    {
        return Ok(text);
    }
    let text = compile(&format!("{}{}", capability.0, capability.1))?;
    if let Some(file) = file {
        // Without a cache the next start compiles again: a second, no more.
        let new = file.with_extension("new");
        let _ = fs::write(&new, &text).and_then(|()| fs::rename(&new, &file));
    }
    Ok(text)
}

pub struct Gpu {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    /// Where frames are sent ahead, beside the work on `stream`.
    beside: Arc<CudaStream>,
    kernels: Vec<CudaFunction>,
    /// Uploads go through pinned memory, so that the copy runs beside what else the stream does. Two, in turn: while one
    /// is on its way the other is filled.
    pinned: [Option<PinnedHostSlice<u8>>; 2],
    turn: usize,
    facts: GpuFacts,
}

impl Gpu {
    pub fn open(number: usize, cache: Option<&Path>) -> Result<Self, Error> {
        let context = context(number)?;
        let facts = facts(&context)?;
        let stream = context.new_stream().map_err(failed("no stream"))?;
        let beside = context.new_stream().map_err(failed("no second stream"))?;
        let ptx = compiled(facts.capability, cache)?;
        let module = context.load_module(Ptx::from_src(ptx)).map_err(failed("the driver refuses the kernels"))?;
        let kernels = Kernel::NAMES
            .iter()
            .map(|name| module.load_function(name))
            .collect::<Result<_, _>>()
            .map_err(failed("a kernel is missing"))?;
        Ok(Self { context, stream, beside, kernels, pinned: [None, None], turn: 0, facts })
    }
}

impl Gpu {
    /// Copies to the GPU in the order of `stream`. Safety: `to` has room for `from`.
    unsafe fn copy_up(&mut self, to: u64, from: &[u8], stream: &Arc<CudaStream>) -> Result<(), Error> {
        let what = "copy to the GPU";
        self.context.bind_to_thread().map_err(failed(what))?;
        if from.len() < WORTH_PINNING {
            // SAFETY: the caller says that there is room. From pageable memory the driver copies before it returns.
            return unsafe { result::memcpy_htod_async(to, from, stream.cu_stream()) }.map_err(failed(what));
        }
        self.turn ^= 1;
        let slot = &mut self.pinned[self.turn];
        if slot.as_ref().is_none_or(|pinned| pinned.len() < from.len()) {
            // SAFETY: bytes have no wrong values, and they are written before they are read.
            *slot = Some(unsafe { self.context.alloc_pinned::<u8>(from.len()) }.map_err(failed("no pinned memory"))?);
        }
        let Some(pinned) = slot else { return Err(Error::Absent("no pinned memory".to_owned())) };
        // Waits until the copy before the last is through.
        pinned.as_mut_slice().map_err(failed(what))?[..from.len()].copy_from_slice(from);
        let source = &pinned.as_slice().map_err(failed(what))?[..from.len()];
        // SAFETY: the caller says that there is room; the event recorded below keeps the pinned memory from being
        // written before the copy is through, and it is freed by a call that waits.
        unsafe { result::memcpy_htod_async(to, source, stream.cu_stream()) }.map_err(failed(what))?;
        record(pinned, stream).map_err(failed(what))
    }

    pub fn memory(&self) -> Result<(usize, usize), Error> {
        self.context.mem_get_info().map_err(failed("the driver does not say how much memory is free"))
    }
}

struct GpuMemory(CudaSlice<u8>);

impl Memory for GpuMemory {
    fn address(&self) -> u64 {
        let (address, _waits) = self.0.device_ptr(self.0.stream());
        address
    }
}

/// From this size on a copy goes through pinned memory.
const WORTH_PINNING: usize = 1 << 16;

impl Backend for Gpu {
    fn allocate(&self, bytes: usize) -> Result<Box<dyn Memory>, Error> {
        // From the device's pool where the driver has one: freed in the order of the stream.
        let memory = self.stream.alloc_zeros::<u8>(bytes).map_err(failed("no memory left on the GPU"))?;
        Ok(Box::new(GpuMemory(memory)))
    }

    unsafe fn write(&mut self, to: u64, from: &[u8]) -> Result<(), Error> {
        let stream = self.stream.clone();
        // SAFETY: the caller says that there is room.
        unsafe { self.copy_up(to, from, &stream) }
    }

    unsafe fn write_ahead(&mut self, to: u64, from: &[u8]) -> Result<(), Error> {
        // Behind what is asked for already: the memory may have been taken a moment ago, or be read still.
        self.beside.join(&self.stream).map_err(failed("a frame sent ahead"))?;
        let beside = self.beside.clone();
        // SAFETY: the caller says that there is room.
        unsafe { self.copy_up(to, from, &beside) }
    }

    fn follow(&mut self) -> Result<(), Error> {
        self.stream.join(&self.beside).map_err(failed("a frame sent ahead"))
    }

    unsafe fn read(&mut self, from: u64, to: &mut [u8]) -> Result<(), Error> {
        let what = "copy from the GPU";
        self.context.bind_to_thread().map_err(failed(what))?;
        // SAFETY: the caller says that `from` holds enough; the stream is waited for before `to` is looked at.
        unsafe { result::memcpy_dtoh_async(to, from, self.stream.cu_stream()) }.map_err(failed(what))?;
        self.stream.synchronize().map_err(failed(what))
    }

    unsafe fn zero(&mut self, to: u64, bytes: usize) -> Result<(), Error> {
        let what = "clearing memory of the GPU";
        self.context.bind_to_thread().map_err(failed(what))?;
        // SAFETY: the caller says that there is room.
        unsafe { result::memset_d8_async(to, 0, bytes, self.stream.cu_stream()) }.map_err(failed(what))
    }

    unsafe fn launch(
        &mut self,
        kernel: Kernel,
        grid: [u32; 2],
        threads: u32,
        args: &mut [*mut c_void],
    ) -> Result<(), Error> {
        let what = "starting a kernel";
        self.context.bind_to_thread().map_err(failed(what))?;
        let function = self.kernels[kernel as usize].cu_function();
        let (grid, block) = ((grid[0], grid[1], 1), (threads, 1, 1));
        // SAFETY: the caller answers for the arguments.
        unsafe { result::launch_kernel(function, grid, block, 0, self.stream.cu_stream(), args) }.map_err(failed(what))
    }

    fn gpu(&self) -> Option<&Gpu> {
        Some(self)
    }

    fn describe(&self) -> String {
        let GpuFacts { name, capability: (major, minor), driver, .. } = &self.facts;
        format!("{name} (compute {major}.{minor}, CUDA {}.{})", driver / 1000, driver % 1000 / 10)
    }
}

/// Marks the pinned memory as in use until the stream has come this far.
fn record(pinned: &PinnedHostSlice<u8>, stream: &Arc<CudaStream>) -> Result<(), DriverError> {
    use cudarc::driver::HostSlice;
    // SAFETY: the slice is not looked at; dropping the guard records the event on the stream.
    let (_, guard) = unsafe { pinned.stream_synced_slice(stream) };
    drop(guard);
    stream.context().check_err()
}

/// A network on the GPU: TensorRT on the stream of a [`Device`].
pub struct Network {
    context: Context<'static>,
    stream: Arc<CudaStream>,
}

impl Network {
    /// A network that runs in order with the kernels of `device`. TensorRT must have loaded it on the same GPU.
    ///
    /// # Errors
    /// When the device is no GPU.
    pub fn new(device: &Device, context: Context<'static>) -> Result<Self, Error> {
        let gpu = device.0.gpu().ok_or_else(|| Error::Absent("networks of TensorRT run on a GPU".to_owned()))?;
        Ok(Self { context, stream: gpu.stream.clone() })
    }

    /// What the network takes and gives.
    pub fn tensors(&self) -> Vec<metaphased_tensorrt::TensorInfo> {
        self.context.engine().tensors()
    }

    /// Runs it: `inputs` as (name, shape, values), all outputs go to the buffers of `outputs`. Answers the outputs' shapes.
    ///
    /// # Errors
    /// When a shape lies outside the profile, a tensor is missing or is not of 32-bit floats, or TensorRT fails.
    pub fn run(
        &mut self,
        device: &mut Device,
        inputs: &[(&str, &[usize], &Buffer)],
        outputs: &mut [(&str, &mut Buffer)],
    ) -> Result<Vec<Vec<usize>>, Error> {
        let said = |error: metaphased_tensorrt::Error| Error::Failed { what: "TensorRT", said: error.to_string() };
        let same = device.0.gpu().is_some_and(|gpu| Arc::ptr_eq(&gpu.stream, &self.stream));
        if !same {
            return Err(Error::Absent("the network belongs to another device".to_owned()));
        }
        let tensors = self.tensors();
        if let Some(odd) = tensors.iter().find(|tensor| !tensor.is_f32) {
            return Err(Error::Size(format!("tensor '{}' is not of 32-bit floats", odd.name)));
        }
        for tensor in &tensors {
            let given = if tensor.is_input {
                inputs.iter().any(|(name, ..)| *name == tensor.name)
            } else {
                outputs.iter().any(|(name, _)| *name == tensor.name)
            };
            if !given {
                return Err(Error::Size(format!("tensor '{}' was not given", tensor.name)));
            }
        }
        self.stream.context().bind_to_thread().map_err(failed("TensorRT"))?;
        for (name, shape, buffer) in inputs {
            let address = buffer.need(name, shape.iter().product::<usize>() * 4)?;
            let shape: Vec<i64> = shape.iter().map(|n| *n as i64).collect();
            self.context.set_shape(name, &shape).map_err(said)?;
            // SAFETY: the buffer holds the shape; memory is freed in the order of the stream that the run is on.
            unsafe { self.context.set_address(name, address) }.map_err(said)?;
        }
        let mut shapes = Vec::with_capacity(outputs.len());
        for (name, buffer) in outputs.iter_mut() {
            let shape: Vec<usize> =
                self.context.shape(name).map_err(said)?.iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect();
            let address = device.resize(buffer, shape.iter().product::<usize>() * 4)?;
            // SAFETY: as above; the buffer has just been sized.
            unsafe { self.context.set_address(name, address) }.map_err(said)?;
            shapes.push(shape);
        }
        // SAFETY: the stream is the one of the GPU that the engine was loaded on, and every tensor has its address.
        unsafe { self.context.enqueue(self.stream.cu_stream().cast()) }.map_err(said)?;
        Ok(shapes)
    }
}
