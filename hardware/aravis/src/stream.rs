//! Frames of a camera, in memory that Aravis fills.

use std::{
    ffi::{c_int, c_void},
    fmt,
    num::NonZeroU64,
    ptr::null_mut,
    time::Duration,
};

use crate::{
    Camera, Error,
    library::{Object, SOCKET_BUFFER_FIXED},
};

/// How a frame arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// Whole.
    Whole,
    /// Packets are missing, or it was cut off.
    Partial,
    /// It makes no sense: another size than announced, or no picture.
    Faulty,
}

/// A camera that streams. Dropping it stops the stream and gives the camera back.
pub struct Stream {
    raw: Object,
    // Goes after the stream.
    camera: Camera,
}

// SAFETY: as for `Camera`.
unsafe impl Send for Stream {}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("camera", &self.camera).finish_non_exhaustive()
    }
}

/// A frame, whose memory goes back to the stream when this is dropped.
#[derive(Debug)]
pub struct Filled<'s> {
    stream: &'s mut Stream,
    buffer: Object,
    /// How it arrived.
    pub arrival: Arrival,
    /// Number that the camera gave it, from 1; on GigE Vision it may have 16 bits and skips 0 when it wraps. None: the first
    /// packet, which says it, is missing.
    pub number: Option<NonZeroU64>,
    /// Code of its pixels' format (PFNC); this and the next three are 0 unless it arrived whole.
    pub format: u32,
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Bytes after each row.
    pub padding: usize,
    /// Time of the camera's own clock, in nanoseconds; 0: not known.
    pub device_ns: u64,
    /// Time of this machine's clock when the first bytes came, in nanoseconds since 1970; 0: not known.
    pub wall_ns: u64,
}

impl Stream {
    /// Starts a stream over `count` buffers (at least 2), as the camera is set up.
    ///
    /// # Errors
    /// When the camera refuses or does not answer.
    pub fn start(camera: Camera, count: usize) -> Result<Self, Error> {
        let library = camera.library;
        let bytes = camera.payload()?;
        let stream = Self { raw: camera.stream()?, camera };
        // SAFETY: a stream, and buffers that are given to it.
        unsafe {
            if stream.camera.is_network() {
                // Holds whole frames while the thread that reads them waits for a processor, as far as the system allows.
                let held = c_int::try_from(bytes.saturating_mul(4)).unwrap_or(c_int::MAX).max(LEAST_SOCKET_BUFFER);
                let end = null_mut::<c_void>();
                (library.g_object_set)(stream.raw, c"socket-buffer".as_ptr(), SOCKET_BUFFER_FIXED, end);
                (library.g_object_set)(stream.raw, c"socket-buffer-size".as_ptr(), held, end);
            }
            for _ in 0..count.max(2) {
                (library.arv_stream_push_buffer)(stream.raw, (library.arv_buffer_new_allocate)(bytes));
            }
        }
        stream.camera.run(true)?;
        Ok(stream)
    }

    /// The camera.
    pub fn camera(&self) -> &Camera {
        &self.camera
    }

    /// Stops the stream, throws away what has come, and starts it again.
    ///
    /// # Errors
    /// When the camera refuses or does not answer.
    pub fn restart(&mut self) -> Result<(), Error> {
        let library = self.camera.library;
        self.camera.run(false)?;
        // SAFETY: a stream; what it gives goes back to it.
        unsafe {
            loop {
                let old = (library.arv_stream_try_pop_buffer)(self.raw);
                if old.is_null() {
                    break;
                }
                self.give_back(old);
            }
        }
        self.camera.run(true)
    }

    /// Gives a buffer back to be filled. What it says of its frame is forgotten: Aravis writes that when the frame's first packet
    /// comes, so that one without it would bear the number and times of the frame before.
    ///
    /// # Safety
    /// The buffer must be one that this stream gave, and be given back once.
    unsafe fn give_back(&self, buffer: Object) {
        let library = self.camera.library;
        // SAFETY: a buffer of this stream that nobody else has.
        unsafe {
            (library.arv_buffer_set_frame_id)(buffer, 0);
            (library.arv_buffer_set_timestamp)(buffer, 0);
            (library.arv_buffer_set_system_timestamp)(buffer, 0);
            (library.arv_stream_push_buffer)(self.raw, buffer);
        }
    }

    /// The next frame, or none when none came within `wait`.
    pub fn next(&mut self, wait: Duration) -> Option<Filled<'_>> {
        let library = self.camera.library;
        let micros = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        // SAFETY: a stream; what it gives is ours until `Filled` gives it back.
        let buffer = unsafe { (library.arv_stream_timeout_pop_buffer)(self.raw, micros) };
        if buffer.is_null() {
            return None;
        }
        // SAFETY: a buffer that is ours; the picture's facts are asked for only where it has a picture.
        unsafe {
            let has_picture = PICTURES.contains(&(library.arv_buffer_get_payload_type)(buffer));
            let arrival = match (library.arv_buffer_get_status)(buffer) {
                SUCCESS if has_picture => Arrival::Whole,
                TIMEOUT | MISSING_PACKETS | WRONG_PACKET | FILLING | ABORTED => Arrival::Partial,
                _ => Arrival::Faulty,
            };
            let (mut format, mut width, mut height, mut padding) = (0, 0, 0, 0);
            // Of others the packet that says it may be what is missing.
            if arrival == Arrival::Whole {
                let mut below: c_int = 0;
                format = (library.arv_buffer_get_image_pixel_format)(buffer);
                width = (library.arv_buffer_get_image_width)(buffer);
                height = (library.arv_buffer_get_image_height)(buffer);
                (library.arv_buffer_get_image_padding)(buffer, &raw mut padding, &raw mut below);
            }
            let size = |n: c_int| usize::try_from(n).unwrap_or(0);
            Some(Filled {
                buffer,
                arrival,
                number: NonZeroU64::new((library.arv_buffer_get_frame_id)(buffer)),
                format,
                width: size(width),
                height: size(height),
                padding: size(padding),
                device_ns: (library.arv_buffer_get_timestamp)(buffer),
                wall_ns: (library.arv_buffer_get_system_timestamp)(buffer),
                stream: self,
            })
        }
    }
}

/// Bytes of the socket's memory, whatever the size of a frame.
const LEAST_SOCKET_BUFFER: c_int = 8 << 20;
/// Kinds of payload that hold a picture: alone, with chunks, and with chunks as some cameras number them.
const PICTURES: [c_int; 4] = [1, 4, 5, 0x4001];
// The numbers of `ArvBufferStatus`.
pub const SUCCESS: c_int = 0;
pub const TIMEOUT: c_int = 2;
pub const MISSING_PACKETS: c_int = 3;
pub const WRONG_PACKET: c_int = 4;
pub const FILLING: c_int = 6;
pub const ABORTED: c_int = 7;

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.camera.is_lost() {
            // A camera that is gone has stopped.
            let _ = self.camera.run(false);
        }
        // SAFETY: the count that `start` got, given back once; no frame is left, as frames borrow this.
        unsafe { (self.camera.library.g_object_unref)(self.raw) }
    }
}

impl Filled<'_> {
    /// Whether another frame is ready already, so that this one is late.
    pub fn newer_is_ready(&self) -> bool {
        let (mut empty, mut full): (c_int, c_int) = (0, 0);
        // SAFETY: a stream and two places for numbers.
        unsafe {
            (self.stream.camera.library.arv_stream_get_n_buffers)(self.stream.raw, &raw mut empty, &raw mut full);
        }
        full > 0
    }

    /// Its memory. Of a frame that is not whole some of it is of an earlier one.
    pub fn bytes(&self) -> &[u8] {
        let mut size = 0;
        // SAFETY: a buffer that is ours until this is dropped, and so is its memory, `size` bytes; nobody writes to it
        // meanwhile.
        unsafe {
            let start = (self.stream.camera.library.arv_buffer_get_data)(self.buffer, &raw mut size);
            if start.is_null() { &[] } else { std::slice::from_raw_parts(start.cast(), size) }
        }
    }
}

impl Drop for Filled<'_> {
    fn drop(&mut self) {
        // SAFETY: the stream's own buffer, given back once.
        unsafe { self.stream.give_back(self.buffer) }
    }
}
