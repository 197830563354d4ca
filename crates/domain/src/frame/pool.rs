//! A bounded pool of pixel buffers, so that the steady state allocates nothing.

use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded, select};

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
    /// Receives after each return, so that whoever waits for memory looks again.
    freed: Sender<()>,
    /// Memory of all buffers, on the shelf and lent, and how many are lent.
    held: Mutex<Held>,
    /// Most memory of all of them.
    most: usize,
    /// Most memory that a buffer keeps on the shelf.
    kept: usize,
}

#[derive(Debug, Default)]
struct Held {
    bytes: usize,
    lent: usize,
}

impl Shelf {
    fn with<R>(&self, act: impl FnOnce(&mut Held) -> R) -> R {
        act(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn bytes_of(words: &Vec<u16>) -> usize {
    words.capacity() * 2
}

/// Hands out pixel buffers and takes them back when they are dropped. Cloning shares the pool.
#[derive(Debug, Clone)]
pub struct FramePool {
    shelf: Arc<Shelf>,
    free: Receiver<Vec<u16>>,
    freed: Receiver<()>,
    capacity: usize,
}

impl FramePool {
    /// A pool of `capacity` buffers (at least 1) of any size. Buffers grow on first use and keep their size.
    pub fn new(capacity: usize) -> Self {
        Self::within(capacity, usize::MAX)
    }

    /// A pool of `capacity` buffers (at least 1) that take at most `bytes` bytes together. A buffer that is larger than
    /// all of it is lent alone. On the shelf a buffer keeps at most its share of the memory.
    pub fn within(capacity: usize, bytes: usize) -> Self {
        let capacity = capacity.max(1);
        let (returned, free) = bounded(capacity);
        for _ in 0..capacity {
            // The channel was made for exactly `capacity` buffers, so this cannot fail.
            let _ = returned.send(Vec::new());
        }
        let (wake, freed) = bounded(1);
        let shelf = Shelf { returned, freed: wake, held: Mutex::default(), most: bytes, kept: bytes / capacity };
        Self { shelf: Arc::new(shelf), free, freed, capacity }
    }

    /// Memory of all buffers now, on the shelf and lent, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.shelf.with(|held| held.bytes)
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
        let words = self.free.try_recv().ok()?;
        self.lend(words, bytes).map_err(|words| self.put_back(words)).ok()
    }

    /// Waits for a buffer of `bytes` bytes (contents arbitrary); none when `stop` disconnects first.
    pub fn take_until<T>(&self, bytes: usize, stop: &Receiver<T>) -> Option<PixelBuffer> {
        let mut words = select! {
            recv(self.free) -> words => words.ok()?,
            recv(stop) -> _ => return None,
        };
        loop {
            words = match self.lend(words, bytes) {
                Ok(buffer) => return Some(buffer),
                Err(words) => words,
            };
            select! {
                recv(self.freed) -> _ => {}
                recv(stop) -> _ => {
                    self.put_back(words);
                    return None;
                }
            }
        }
    }

    fn put_back(&self, words: Vec<u16>) {
        // Its place on the shelf is free.
        let _ = self.shelf.returned.try_send(words);
    }

    /// The buffer with `bytes` bytes, or back as it is when there is no memory for that.
    fn lend(&self, mut words: Vec<u16>, bytes: usize) -> Result<PixelBuffer, Vec<u16>> {
        let needed = bytes.div_ceil(2) * 2;
        let has = bytes_of(&words);
        let growth = needed.saturating_sub(has);
        let fits = |held: &Held| held.lent == 0 || held.bytes.saturating_add(growth) <= self.shelf.most;
        // What lies on the shelf gives way first.
        for _ in 0..self.free.len() {
            if self.shelf.with(|held| held.bytes.saturating_add(growth) <= self.shelf.most) {
                break;
            }
            let Ok(mut idle) = self.free.try_recv() else { break };
            let freed = bytes_of(&idle);
            idle = Vec::new();
            self.shelf.with(|held| held.bytes -= freed);
            self.put_back(idle);
        }
        let lent = self.shelf.with(|held| {
            let fits = fits(held);
            if fits {
                held.lent += 1;
                held.bytes += growth;
            }
            fits
        });
        if !lent {
            return Err(words);
        }
        if growth > 0 {
            words = Vec::new();
            words.reserve_exact(needed / 2);
            let surplus = bytes_of(&words) - needed;
            self.shelf.with(|held| held.bytes += surplus);
        }
        Ok(PixelBuffer::sized(words, bytes, Some(self.shelf.clone())))
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
            let mut words = std::mem::take(&mut self.words);
            let before = bytes_of(&words);
            if before > home.kept {
                words = Vec::new();
            }
            home.with(|held| {
                held.lent -= 1;
                held.bytes -= before - bytes_of(&words);
            });
            // A pool that is gone needs no buffer back.
            let _ = home.returned.try_send(words);
            // One that has been woken already looks again anyway.
            let _ = home.freed.try_send(());
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
    fn a_pool_holds_so_many_bytes_and_no_more() {
        let pool = FramePool::within(4, 1000);
        let (_keep, stop) = bounded::<()>(0);
        let first = pool.try_take(600).expect("one is free");
        assert!(pool.try_take(600).is_none(), "two of them would be too much");
        let small = pool.try_take(400).expect("it fits beside");
        assert_eq!((pool.held_bytes(), pool.available()), (1000, 2));
        drop(first);
        assert_eq!(pool.held_bytes(), 400, "a large buffer leaves its memory");
        drop(small);
        let kept: Vec<_> = (0..4).map(|_| pool.try_take(250).expect("four times a quarter")).collect();
        drop(kept);
        assert_eq!(pool.held_bytes(), 1000, "buffers of an ordinary size keep theirs");
        let large = pool.take_until(5000, &stop).expect("the only one may be larger than all");
        assert!(pool.held_bytes() <= 5250 && pool.try_take(2).is_none(), "{}", pool.held_bytes());
        let (waits, until) = (pool.clone(), stop.clone());
        let waiter = std::thread::spawn(move || waits.take_until(900, &until).map(|buffer| buffer.bytes().len()));
        drop(large);
        assert_eq!(waiter.join().expect("it ends"), Some(900));
        assert_eq!(pool.available(), 4);
        assert!(pool.held_bytes() <= 1000, "{}", pool.held_bytes());
    }

    #[test]
    fn words_and_bytes_are_the_same_memory() {
        let buffer = PixelBuffer::from_words(&[0x0102, 0x0304]);
        assert_eq!(buffer.bytes().len(), 4);
        assert_eq!(buffer.words(), &[0x0102, 0x0304]);
    }
}
