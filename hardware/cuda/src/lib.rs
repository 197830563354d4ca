//! The kernels of metaphased on a [`Device`]: an NVIDIA GPU (feature `gpu`), or the host with emulated threads (feature
//! `host`), which is how the kernels and everything around them are checked without a GPU. What a kernel computes is
//! defined by the CPU reference in metaphased's `recognition`.

#[cfg(feature = "gpu")]
mod gpu;
#[cfg(feature = "host")]
mod host;
mod params;

use std::ffi::c_void;

#[cfg(feature = "gpu")]
pub use gpu::{GpuFacts, Network, compile, gpu_facts};
pub use params::{Crop, Crops, Decode, Letterbox, Plain, Prepare, Record};

use params::Kernel;

/// What a device could not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no GPU, no driver, or no library of CUDA.
    #[error("{0}")]
    Absent(String),
    /// The device or its driver refused.
    #[error("{what}: {said}")]
    Failed {
        /// What was asked.
        what: &'static str,
        /// The words of CUDA or TensorRT.
        said: String,
    },
    /// Parameters and buffers do not belong together.
    #[error("{0}")]
    Size(String),
}

/// The source of all kernels, as one piece.
pub fn source() -> String {
    [
        include_str!("../kernels/common.cuh"),
        include_str!("../kernels/prepare.cu"),
        include_str!("../kernels/decode.cu"),
        include_str!("../kernels/crop.cu"),
    ]
    .join("\n")
}

/// Memory of a device.
trait Memory: Send {
    fn address(&self) -> u64;
}

/// What a device can do; everything happens in order, and `read` waits for what came before.
trait Backend: Send {
    fn allocate(&self, bytes: usize) -> Result<Box<dyn Memory>, Error>;
    /// Safety: `to` has room for `from`.
    unsafe fn write(&mut self, to: u64, from: &[u8]) -> Result<(), Error>;
    /// As `write`, but beside what is asked for afterwards, until `follow`.
    /// Safety: as for `write`; nothing that is asked for before `follow` touches `to`.
    unsafe fn write_ahead(&mut self, to: u64, from: &[u8]) -> Result<(), Error>;
    /// What is asked for from now on waits for all that `write_ahead` has begun.
    fn follow(&mut self) -> Result<(), Error>;
    /// Safety: `from` holds as many bytes as `to`.
    unsafe fn read(&mut self, from: u64, to: &mut [u8]) -> Result<(), Error>;
    /// Safety: `to` has room for `bytes`.
    unsafe fn zero(&mut self, to: u64, bytes: usize) -> Result<(), Error>;
    /// Safety: `args` point to the kernel's arguments, whose buffers are large enough.
    unsafe fn launch(
        &mut self,
        kernel: Kernel,
        grid: [u32; 2],
        threads: u32,
        args: &mut [*mut c_void],
    ) -> Result<(), Error>;
    #[cfg(feature = "gpu")]
    fn gpu(&self) -> Option<&gpu::Gpu>;
    fn describe(&self) -> String;
}

/// A piece of a device's memory that grows when it must. It belongs to the device that filled it.
#[derive(Default)]
pub struct Buffer {
    memory: Option<Box<dyn Memory>>,
    room: usize,
    bytes: usize,
}

impl Buffer {
    /// Bytes that it holds.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    fn address(&self) -> u64 {
        self.memory.as_ref().map_or(0, |memory| memory.address())
    }

    fn need(&self, what: &str, bytes: usize) -> Result<u64, Error> {
        if self.bytes < bytes {
            return Err(Error::Size(format!("{what} holds {} bytes, {bytes} are needed", self.bytes)));
        }
        Ok(self.address())
    }
}

/// Where kernels run. One stream: what is asked for happens in order.
pub struct Device(Box<dyn Backend>);

/// A grey plane on the device, with the table that its samples go through.
#[derive(Default)]
pub struct Plane {
    samples: Buffer,
    table: Buffer,
    histogram: Buffer,
    width: u32,
    height: u32,
}

/// Room that decoding needs between its steps.
#[derive(Default)]
pub struct Answers {
    keys: Buffer,
    count: Buffer,
    records: Buffer,
    state: Buffer,
    fell: Buffer,
    kept: Buffer,
    out: Buffer,
}

/// Pointers to a kernel's arguments.
macro_rules! args {
    ($($value:expr),*) => { &mut [$((&raw const $value).cast_mut().cast::<c_void>()),*] };
}

const THREADS: u32 = 256;

impl Device {
    /// The host with emulated threads: slow, for checking.
    #[cfg(feature = "host")]
    pub fn host() -> Self {
        Self(Box::new(host::Host))
    }

    /// A GPU by its number. Compiled kernels are kept in `cache`.
    ///
    /// # Errors
    /// When there is no driver, no such GPU, or no NVRTC for kernels that are not in the cache.
    #[cfg(feature = "gpu")]
    pub fn gpu(number: usize, cache: Option<&std::path::Path>) -> Result<Self, Error> {
        Ok(Self(Box::new(gpu::Gpu::open(number, cache)?)))
    }

    /// Bytes of the GPU's memory that are free, and all of them; none on the host.
    ///
    /// # Errors
    /// When the driver does not say.
    #[cfg(feature = "gpu")]
    pub fn memory(&self) -> Result<Option<(usize, usize)>, Error> {
        self.0.gpu().map(gpu::Gpu::memory).transpose()
    }

    /// The device, for people.
    pub fn describe(&self) -> String {
        self.0.describe()
    }

    fn resize(&mut self, buffer: &mut Buffer, bytes: usize) -> Result<u64, Error> {
        if buffer.room < bytes || buffer.memory.is_none() {
            let room = bytes.max(256).next_multiple_of(256);
            buffer.memory = Some(self.0.allocate(room)?);
            buffer.room = room;
        }
        buffer.bytes = bytes;
        Ok(buffer.address())
    }

    /// Copies values to the device.
    ///
    /// # Errors
    /// When the device has no memory left or fails.
    pub fn upload<T: Plain>(&mut self, buffer: &mut Buffer, values: &[T]) -> Result<(), Error> {
        let at = self.resize(buffer, size_of_val(values))?;
        // SAFETY: plain values are their bytes, and the buffer has just been made large enough.
        unsafe { self.0.write(at, std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values))) }
    }

    /// Copies values to the device beside the work that is asked for next. [`follow`](Self::follow) before `buffer` is used.
    ///
    /// # Errors
    /// When the device has no memory left or fails.
    pub fn upload_ahead<T: Plain>(&mut self, buffer: &mut Buffer, values: &[T]) -> Result<(), Error> {
        let at = self.resize(buffer, size_of_val(values))?;
        // SAFETY: as for `upload`; the caller holds the buffer, and no kernel is started with it before `follow`, or it reads
        // half a frame, no memory of others.
        unsafe { self.0.write_ahead(at, std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values))) }
    }

    /// Has what comes next wait for the uploads that were sent ahead.
    ///
    /// # Errors
    /// When the device fails.
    pub fn follow(&mut self) -> Result<(), Error> {
        self.0.follow()
    }

    /// Copies the first `count` values back, once everything before has happened.
    ///
    /// # Errors
    /// When the buffer holds fewer, or the device failed.
    pub fn download<T: Plain>(&mut self, buffer: &Buffer, count: usize) -> Result<Vec<T>, Error> {
        let bytes = count * size_of::<T>();
        let at = buffer.need("the buffer", bytes)?;
        let mut values = Vec::<T>::with_capacity(count);
        // SAFETY: the vector has room for `count` plain values, all of which are written before they count.
        unsafe {
            self.0.read(at, std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), bytes))?;
            values.set_len(count);
        }
        Ok(values)
    }

    /// Makes the grey plane of a window of a frame, and the table for its ground.
    ///
    /// # Errors
    /// When the window leaves the frame, or the device fails.
    pub fn prepare(&mut self, p: &Prepare, frame: &Buffer, plane: &mut Plane) -> Result<(), Error> {
        let sample =
            [1, 2, 3].get(p.format as usize).copied().ok_or_else(|| Error::Size("no such format".to_owned()))?;
        let rows = p.top as usize + p.height as usize;
        if p.left + p.width > p.frame_width || p.width == 0 || p.height == 0 || p.white == 0 {
            return Err(Error::Size(format!("the window {p:?} lies outside its frame")));
        }
        let frame = frame.need("the frame", rows * p.frame_width as usize * sample)?;
        let samples = self.resize(&mut plane.samples, p.width as usize * p.height as usize)?;
        let histogram = self.resize(&mut plane.histogram, 256 * 4)?;
        let table = self.resize(&mut plane.table, 256)?;
        (plane.width, plane.height) = (p.width, p.height);
        let blocks = (p.width * p.height).div_ceil(THREADS * 16).clamp(1, 1024);
        // SAFETY: the buffers were sized above for the window that the parameters name.
        unsafe {
            self.0.zero(histogram, 256 * 4)?;
            self.0.launch(Kernel::GreyPlane, [blocks, 1], THREADS, args![*p, frame, samples, histogram])?;
            self.0.launch(Kernel::GroundTable, [1, 1], THREADS, args![*p, histogram, table])
        }
    }

    /// The plane's samples after the table, for checking; with its width.
    ///
    /// # Errors
    /// When the device fails.
    pub fn read_plane(&mut self, plane: &Plane) -> Result<(Vec<u8>, usize), Error> {
        let table: Vec<u8> = self.download(&plane.table, 256)?;
        let samples: Vec<u8> = self.download(&plane.samples, plane.samples.len())?;
        Ok((samples.into_iter().map(|v| table[usize::from(v)]).collect(), plane.width as usize))
    }

    /// Makes a network's input of the plane: `channels * rows * stride` values.
    ///
    /// # Errors
    /// When the parameters are not the plane's, or the device fails.
    pub fn letterbox(&mut self, p: &Letterbox, plane: &Plane, out: &mut Buffer) -> Result<(), Error> {
        if (p.from_width, p.from_height) != (plane.width, plane.height) || p.to_width > p.stride || p.to_height > p.rows
        {
            return Err(Error::Size(format!("{p:?} does not fit a plane of {} x {}", plane.width, plane.height)));
        }
        let area = p.stride * p.rows;
        let out = self.resize(out, area as usize * p.channels as usize * 4)?;
        let (samples, table) = (plane.samples.address(), plane.table.address());
        // SAFETY: the plane was made by `prepare`, the input has just been sized.
        unsafe {
            let grid = [area.div_ceil(THREADS), 1];
            self.0.launch(Kernel::Letterbox, grid, THREADS, args![*p, samples, table, out])
        }
    }

    /// Decodes a detector's map and suppresses doubles: what stays, best first.
    ///
    /// # Errors
    /// When the map has another size than the parameters say, or the device fails.
    pub fn decode(&mut self, p: &Decode, map: &Buffer, room: &mut Answers) -> Result<Vec<Record>, Error> {
        let cells = p.rows as usize * p.columns as usize;
        if p.classes > 24 || 5 + p.classes > p.channels || p.score_channel >= p.channels || p.most == 0 {
            return Err(Error::Size(format!("{p:?} describes no detector")));
        }
        let map = map.need("the map", cells * p.channels as usize * 4)?;
        let most = p.most as usize;
        let keys = self.resize(&mut room.keys, cells.max(1).next_power_of_two() * 8)?;
        let count = self.resize(&mut room.count, 8)?;
        let records = self.resize(&mut room.records, most * size_of::<Record>())?;
        let state = self.resize(&mut room.state, most * 4)?;
        let fell = self.resize(&mut room.fell, most * 4)?;
        let kept = self.resize(&mut room.kept, most * 4)?;
        let out = self.resize(&mut room.out, most * size_of::<Record>())?;
        let found = count + 4;
        let blocks = (cells as u32).div_ceil(THREADS).clamp(1, 1024);
        // SAFETY: every buffer was sized above for the most answers that the kernels write.
        unsafe {
            self.0.zero(count, 8)?;
            self.0.launch(Kernel::GatherAnswers, [blocks, 1], THREADS, args![*p, map, keys, count])?;
            self.0.launch(Kernel::SortAnswers, [1, 1], THREADS, args![keys, count])?;
            let grid = [p.most.div_ceil(THREADS), 1];
            self.0.launch(Kernel::DecodeBoxes, grid, THREADS, args![*p, map, keys, count, records, state])?;
            let args = args![*p, count, records, state, fell, kept, found];
            self.0.launch(Kernel::SuppressBoxes, [1, 1], THREADS, args)?;
            let args = args![*p, count, records, fell, kept, found, out];
            self.0.launch(Kernel::LendClasses, [p.most, 1], 32, args)?;
        }
        let counts: Vec<u32> = self.download(&room.count, 2)?;
        self.download(&room.out, (counts[1] as usize).min(most))
    }

    /// Cuts chromosomes out of the plane: `crops.len() * channels * side * side` values.
    ///
    /// # Errors
    /// When the plane is another than the parameters say, or the device fails.
    pub fn crops(
        &mut self,
        p: &Crops,
        crops: &[Crop],
        plane: &Plane,
        list: &mut Buffer,
        out: &mut Buffer,
    ) -> Result<(), Error> {
        if (p.width, p.height) != (plane.width, plane.height)
            || p.side == 0
            || p.supersample == 0
            || crops.len() > 65_535
        {
            return Err(Error::Size(format!("{p:?} does not fit a plane of {} x {}", plane.width, plane.height)));
        }
        self.upload(list, crops)?;
        let area = p.side * p.side;
        let out = self.resize(out, crops.len() * (p.channels * area) as usize * 4)?;
        let (list, samples, table) = (list.address(), plane.samples.address(), plane.table.address());
        if crops.is_empty() {
            return Ok(());
        }
        // SAFETY: list and batch have just been sized, the plane was made by `prepare`.
        unsafe {
            let grid = [area.div_ceil(THREADS), crops.len() as u32];
            self.0.launch(Kernel::CutCrops, grid, THREADS, args![*p, list, samples, table, out])
        }
    }
}
