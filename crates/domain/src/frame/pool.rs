//! A bounded pool of pixel buffers, so that the steady state allocates nothing.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, select};

/// A buffer of pixels. Sixteen-bit words underneath, so that it serves both 8- and 16-bit samples without a copy.
#[derive(Debug)]
pub struct PixelBuffer {
    words: Vec<u16>,
    bytes: usize,
    home: Option<Arc<Shelf>>,
}

#[derive(Debug)]
struct Shelf {
    returned: Sender<Vec<u16>>,
}

/// Hands out pixel buffers and takes them back when they are dropped. Cloning shares the pool.
#[derive(Debug, Clone)]
pub struct FramePool {
    shelf: Arc<Shelf>,
    free: Receiver<Vec<u16>>,
    capacity: usize,
}

impl FramePool {
    /// A pool of `capacity` buffers (at least 1). Buffers grow on first use and keep their size.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        let (returned, free) = bounded(capacity);
        for _ in 0..capacity {
            // The channel was made for exactly `capacity` buffers, so this cannot fail.
            let _ = returned.send(Vec::new());
        }
        Self { shelf: Arc::new(Shelf { returned }), free, capacity }
    }

    /// How many buffers there are in all.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Buffers that wait on the shelf now.
    pub fn available(&self) -> usize {
        self.free.len()
    }

    /// A buffer of `bytes` bytes (contents arbitrary), or none when all are out.
    pub fn try_take(&self, bytes: usize) -> Option<PixelBuffer> {
        match self.free.try_recv() {
            Ok(words) => Some(PixelBuffer::sized(words, bytes, Some(self.shelf.clone()))),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    /// Waits for a buffer of `bytes` bytes (contents arbitrary); none when `stop` disconnects first.
    pub fn take_until<T>(&self, bytes: usize, stop: &Receiver<T>) -> Option<PixelBuffer> {
        let words = select! {
            recv(self.free) -> words => words.ok()?,
            recv(stop) -> _ => return None,
        };
        Some(PixelBuffer::sized(words, bytes, Some(self.shelf.clone())))
    }
}

impl PixelBuffer {
    /// A buffer outside any pool, for tools and tests.
    pub fn unpooled(bytes: usize) -> Self {
        Self::sized(Vec::new(), bytes, None)
    }

    /// A copy of `samples` outside any pool.
    pub fn from_bytes(samples: &[u8]) -> Self {
        let mut buffer = Self::unpooled(samples.len());
        buffer.bytes_mut().copy_from_slice(samples);
        buffer
    }

    /// A copy of 16-bit `samples` outside any pool.
    pub fn from_words(samples: &[u16]) -> Self {
        Self { words: samples.to_vec(), bytes: samples.len() * 2, home: None }
    }

    fn sized(mut words: Vec<u16>, bytes: usize, home: Option<Arc<Shelf>>) -> Self {
        words.resize(bytes.div_ceil(2), 0);
        Self { words, bytes, home }
    }

    /// The contents as bytes.
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.bytes]
    }

    /// The contents as bytes, to fill.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let bytes = self.bytes;
        &mut bytemuck::cast_slice_mut(&mut self.words)[..bytes]
    }

    /// The contents as 16-bit samples.
    pub fn words(&self) -> &[u16] {
        &self.words[..self.bytes / 2]
    }

    /// The contents as 16-bit samples, to fill.
    pub fn words_mut(&mut self) -> &mut [u16] {
        let n = self.bytes / 2;
        &mut self.words[..n]
    }
}

impl Drop for PixelBuffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            // A pool that is gone needs no buffer back.
            let _ = home.returned.try_send(std::mem::take(&mut self.words));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_goes_back_and_keeps_its_memory() {
        let pool = FramePool::new(1);
        let mut buffer = pool.try_take(5).expect("one is free");
        buffer.bytes_mut().fill(7);
        let place = buffer.bytes().as_ptr();
        assert!(pool.try_take(5).is_none(), "the pool is bounded");
        drop(buffer);
        let again = pool.try_take(4).expect("it came back");
        assert_eq!(again.bytes().as_ptr(), place, "no new memory");
        assert_eq!(again.bytes().len(), 4);
    }

    #[test]
    fn words_and_bytes_are_the_same_memory() {
        let buffer = PixelBuffer::from_words(&[0x0102, 0x0304]);
        assert_eq!(buffer.bytes().len(), 4);
        assert_eq!(buffer.words(), &[0x0102, 0x0304]);
    }
}
