//! Frames of a device, in the driver's memory.

use std::{
    os::fd::AsFd,
    ptr::NonNull,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    mm::{MapFlags, ProtFlags, mmap, munmap},
    time::{ClockId, clock_gettime},
};

use crate::{
    Device, Error,
    abi::{self, Buffer, RequestBuffers, Time},
};

/// A buffer of the driver, mapped for reading.
#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread, and nothing else holds its address.
unsafe impl Send for Mapping {}

impl Mapping {
    fn of(device: &Device, index: u32) -> Result<Self, Error> {
        let mut buffer = Buffer::mapped(index);
        abi::QUERYBUF
            .on(device.as_fd(), &mut buffer)
            .map_err(|errno| device.error("does not show its buffers", errno))?;
        let length = buffer.length as usize;
        // SAFETY: a new mapping at a place that the system chooses; the device's file and the offset are those that
        // the driver gave for this buffer.
        let start = unsafe {
            let flags = MapFlags::SHARED;
            mmap(std::ptr::null_mut(), length, ProtFlags::READ, flags, device, u64::from(buffer.offset()))
        };
        let start = start.map_err(|errno| device.error("cannot map its buffers into memory", errno))?;
        match NonNull::new(start.cast()) {
            Some(start) => Ok(Self { start, length }),
            None => Err(Error::Failed("a buffer was mapped to address 0".into())),
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what `mmap` returned, and no slice of it is left: slices borrow the stream that owns this.
        // Only a wrong address could fail.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// A device that streams. Dropping it stops the stream.
#[derive(Debug)]
pub struct Stream {
    // The mappings go before the device.
    buffers: Vec<Mapping>,
    device: Device,
    /// A buffer could not be given back: said by the next call.
    failed: Option<Errno>,
}

/// A frame in the driver's memory, which goes back to the driver when this is dropped.
#[derive(Debug)]
pub struct Filled<'s> {
    stream: &'s mut Stream,
    index: u32,
    used: usize,
    /// Number that the device gave it; gaps show frames that were lost before us. It wraps, and may step back.
    pub sequence: u32,
    /// The driver marked it as faulty: its contents may be damaged.
    pub is_faulty: bool,
    /// Time of the device's clock, where that is the system's monotonic clock: since the machine started.
    pub taken: Option<Duration>,
    /// How long ago that was.
    pub age: Option<Duration>,
}

impl Stream {
    /// Starts a stream over `count` buffers (at least 2), in the format that is in force.
    ///
    /// # Errors
    /// When another program streams from the device, or the driver refuses.
    pub fn start(device: Device, count: u32) -> Result<Self, Error> {
        let mut asked = RequestBuffers::mapped(count.max(2));
        abi::REQBUFS
            .on(device.as_fd(), &mut asked)
            .map_err(|errno| device.error("cannot reserve buffers for frames", errno))?;
        if asked.count == 0 {
            return Err(Error::Failed(format!("{}: the driver gives no buffer for frames", device.path().display())));
        }
        let buffers = (0..asked.count).map(|index| Mapping::of(&device, index)).collect::<Result<_, _>>()?;
        let mut stream = Self { buffers, device, failed: None };
        stream.run()?;
        Ok(stream)
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// How many buffers the driver gave.
    pub fn buffers(&self) -> usize {
        self.buffers.len()
    }

    /// Gives every buffer to the driver and starts it; none may be with it.
    fn run(&mut self) -> Result<(), Error> {
        self.failed = None;
        for index in 0..self.buffers.len() as u32 {
            let mut buffer = Buffer::mapped(index);
            abi::QBUF
                .on(self.device.as_fd(), &mut buffer)
                .map_err(|errno| self.device.error("does not take a buffer", errno))?;
        }
        abi::stream(self.device.as_fd(), true).map_err(|errno| self.device.error("does not stream", errno))
    }

    /// Stops the stream and starts it again: what helps some devices after a time-out. Every buffer comes back from the
    /// driver and goes to it once.
    ///
    /// # Errors
    /// When the device is gone or refuses.
    pub fn restart(&mut self) -> Result<(), Error> {
        abi::stream(self.device.as_fd(), false).map_err(|errno| self.device.error("does not stop", errno))?;
        self.run()
    }

    /// Whether another frame is ready now.
    fn is_ready(&self) -> bool {
        let mut watched = [PollFd::new(&self.device, PollFlags::IN)];
        poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
            && watched[0].revents().contains(PollFlags::IN)
    }

    /// The next frame, or none when none came within `wait`. The stream goes on after that.
    ///
    /// # Errors
    /// [`Error::Gone`] when the device was unplugged; [`Error::Failed`] when the driver reports a fault, after which
    /// [`Self::restart`] may help.
    pub fn next(&mut self, wait: Duration) -> Result<Option<Filled<'_>>, Error> {
        if let Some(errno) = self.failed.take() {
            return Err(self.device.error("did not take a buffer back", errno));
        }
        let until = Instant::now() + wait;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos() as _ };
            let mut watched = [PollFd::new(&self.device, PollFlags::IN)];
            match poll(&mut watched, Some(&timeout)) {
                Ok(0) => return Ok(None),
                // What a device that fails or goes says of it is the error of the next call.
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(self.device.error("cannot be waited for", errno)),
            }
            let mut buffer = Buffer::mapped(0);
            match abi::DQBUF.on(self.device.as_fd(), &mut buffer) {
                Ok(()) => return self.filled(&buffer).map(Some),
                Err(Errno::AGAIN) if Instant::now() >= until => return Ok(None),
                Err(Errno::AGAIN) => {}
                Err(errno) => return Err(self.device.error("gave no frame", errno)),
            }
        }
    }

    fn filled(&mut self, buffer: &Buffer) -> Result<Filled<'_>, Error> {
        let Some(mapping) = self.buffers.get(buffer.index as usize) else {
            return Err(Error::Failed(format!("the driver gave buffer {} of {}", buffer.index, self.buffers.len())));
        };
        let used = (buffer.bytesused as usize).min(mapping.length);
        let is_monotonic = buffer.flags & abi::BUF_FLAG_TIMESTAMP_MASK == abi::BUF_FLAG_TIMESTAMP_MONOTONIC;
        let taken = is_monotonic.then(|| {
            let Time { seconds, microseconds } = buffer.timestamp;
            let (seconds, micros) = (u64::try_from(seconds), u64::try_from(microseconds));
            Duration::from_secs(seconds.unwrap_or(0)) + Duration::from_micros(micros.unwrap_or(0))
        });
        let now = clock_gettime(ClockId::Monotonic);
        let now = Duration::new(now.tv_sec.max(0) as u64, now.tv_nsec as u32);
        Ok(Filled {
            index: buffer.index,
            used,
            sequence: buffer.sequence,
            is_faulty: buffer.flags & abi::BUF_FLAG_ERROR != 0,
            taken,
            age: taken.map(|taken| now.saturating_sub(taken)),
            stream: self,
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // A device that is gone has stopped.
        let _ = abi::stream(self.device.as_fd(), false);
    }
}

impl Filled<'_> {
    /// Whether another frame is ready already, so that this one is late.
    pub fn newer_is_ready(&self) -> bool {
        self.stream.is_ready()
    }

    /// What the driver wrote: as many bytes as it says it used.
    pub fn bytes(&self) -> &[u8] {
        let mapping = &self.stream.buffers[self.index as usize];
        debug_assert!(self.used <= mapping.length);
        // SAFETY: `used` bytes lie within the mapping (`filled` saw to that), which lives as long as the stream that
        // this borrows. The driver has handed the buffer over and does not write to it until it is queued again, which
        // only dropping `self` does; the mapping is for reading alone, so nothing in this process writes either.
        unsafe { std::slice::from_raw_parts(mapping.start.as_ptr(), self.used) }
    }
}

impl Drop for Filled<'_> {
    fn drop(&mut self) {
        let mut buffer = Buffer::mapped(self.index);
        if let Err(errno) = abi::QBUF.on(self.stream.device.as_fd(), &mut buffer) {
            self.stream.failed = Some(errno);
        }
    }
}
