//! A file that shows two of its bytes as others.

use std::io::{Read, Result, Seek, SeekFrom};

/// Reads through to another reader; at one place it can show other bytes than are there.
pub(super) struct Overlay<R> {
    inner: R,
    at: u64,
    shown: Option<(u64, [u8; 2])>,
}

impl<R> Overlay<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, at: 0, shown: None }
    }

    /// Shows the number 1, in either byte order, in the two bytes at `offset`: black is zero, in place of a palette (3).
    pub(super) fn show_palette_as_grey(&mut self, offset: u64)
    where
        R: Read + Seek,
    {
        let mut there = [0; 2];
        let little =
            self.seek(SeekFrom::Start(offset)).and_then(|_| self.read_exact(&mut there)).is_ok() && there[0] != 0;
        self.shown = Some((offset, if little { [1, 0] } else { [0, 1] }));
    }

    /// Shows what is there.
    pub(super) fn clear(&mut self) {
        self.shown = None;
    }
}

impl<R: Read> Read for Overlay<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let read = self.inner.read(buffer)?;
        if let Some((offset, bytes)) = self.shown {
            for (i, byte) in bytes.into_iter().enumerate() {
                let place = (offset + i as u64).checked_sub(self.at).filter(|place| *place < read as u64);
                if let Some(place) = place {
                    buffer[place as usize] = byte;
                }
            }
        }
        self.at += read as u64;
        Ok(read)
    }
}

impl<R: Seek> Seek for Overlay<R> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.at = self.inner.seek(to)?;
        Ok(self.at)
    }
}
