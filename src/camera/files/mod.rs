//! Image files: PNG, JPEG, BMP, WebP, and TIFF with several pages, 16 bits and OME-TIFF's metadata.

mod ome;
mod raster;
mod tiff;

pub use ome::OmePlane;

use std::{io::Cursor, path::Path};

use crate::station::RejectReason;
use domain::{
    ErrorKind, HasKind, StagePosition,
    frame::{PixelBuffer, PixelFormat, Pixels},
};

/// Largest picture that is read: 2^28 pixels.
const MAX_PIXELS: u64 = 1 << 28;

/// Why a file gave no picture.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read it: {0}")]
    Io(#[from] std::io::Error),
    /// No format we know.
    #[error("{0}; expected PNG, JPEG, BMP, WebP or TIFF")]
    Unsupported(String),
    /// A known format with broken contents.
    #[error("{0}")]
    Broken(String),
    /// Too large.
    #[error("{width} x {height} pixels are more than the {MAX_PIXELS} that are read")]
    TooLarge {
        /// Width found.
        width: u64,
        /// Height found.
        height: u64,
    },
    /// No buffer is free for it.
    #[error("no buffer is free")]
    NoBuffer,
}

impl FileError {
    /// The reason that a file is rejected with.
    pub fn reason(&self) -> RejectReason {
        match self {
            Self::Unsupported(_) => RejectReason::Unsupported,
            _ => RejectReason::Unreadable,
        }
    }
}

impl HasKind for FileError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io(error) => error.into(),
            Self::Unsupported(_) | Self::Broken(_) | Self::TooLarge { .. } => ErrorKind::BadData,
            Self::NoBuffer => ErrorKind::Unavailable,
        }
    }
}

/// One picture of a file.
#[derive(Debug)]
pub struct Page {
    /// The pixels.
    pub pixels: Pixels,
    /// Metadata of the file.
    pub facts: PageFacts,
}

/// Metadata of one picture of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PageFacts {
    /// Pixel size in micrometres.
    pub um_per_px: Option<f64>,
    /// Stage position in micrometres.
    pub stage_um: Option<StagePosition>,
    /// Name of the channel.
    pub channel: Option<String>,
}

/// A file whose pictures are read one after another.
pub struct ImageFile {
    kind: Kind,
}

enum Kind {
    Raster(Option<raster::Raster>),
    Tiff(Box<tiff::TiffFile>),
}

/// Extensions of files that are images (lower case).
pub const EXTENSIONS: [&str; 7] = ["png", "jpg", "jpeg", "bmp", "webp", "tif", "tiff"];

/// Whether the name of a file says that it is an image.
pub fn is_image_name(path: &Path) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| EXTENSIONS.contains(&e.to_ascii_lowercase().as_str()))
}

impl ImageFile {
    /// Opens a file; its contents, not its name, say what it is.
    ///
    /// # Errors
    /// When it cannot be read or is no image.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        Self::from_bytes(std::fs::read(path)?)
    }

    /// Opens a file's bytes.
    ///
    /// # Errors
    /// When they are no image.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, FileError> {
        let is_tiff = bytes.starts_with(b"II*\0")
            || bytes.starts_with(b"MM\0*")
            || bytes.starts_with(b"II+\0")
            || bytes.starts_with(b"MM\0+");
        let kind = if is_tiff {
            Kind::Tiff(Box::new(tiff::TiffFile::new(Cursor::new(bytes))?))
        } else {
            Kind::Raster(Some(raster::Raster::new(bytes)?))
        };
        Ok(Self { kind })
    }

    /// How many pictures it holds.
    pub fn pages(&self) -> usize {
        match &self.kind {
            Kind::Raster(_) => 1,
            Kind::Tiff(tiff) => tiff.pages(),
        }
    }

    /// Reads the picture `page` (from 0) into a buffer that `take` gives.
    ///
    /// # Errors
    /// When it is broken, too large or of an unsupported layout.
    pub fn read(&mut self, page: usize, take: impl FnOnce(usize) -> Option<PixelBuffer>) -> Result<Page, FileError> {
        match &mut self.kind {
            Kind::Raster(raster) => {
                let raster = raster.take().ok_or_else(|| FileError::Broken("it has been read already".into()))?;
                Ok(Page { pixels: raster.read(take)?, facts: PageFacts::default() })
            }
            Kind::Tiff(tiff) => tiff.read(page, take),
        }
    }
}

/// Reads the first picture of a file into memory of its own, for tools.
///
/// # Errors
/// As [`ImageFile::open`] and [`ImageFile::read`].
pub fn read_image(path: &Path) -> Result<Page, FileError> {
    ImageFile::open(path)?.read(0, |bytes| Some(PixelBuffer::unpooled(bytes)))
}

fn check_size(width: u64, height: u64) -> Result<(usize, usize), FileError> {
    if width == 0 || height == 0 {
        return Err(FileError::Broken(format!("{width} x {height} pixels")));
    }
    match width.checked_mul(height) {
        Some(pixels) if pixels <= MAX_PIXELS => Ok((width as usize, height as usize)),
        _ => Err(FileError::TooLarge { width, height }),
    }
}

fn buffer(
    take: impl FnOnce(usize) -> Option<PixelBuffer>,
    format: PixelFormat,
    width: usize,
    height: usize,
) -> Result<PixelBuffer, FileError> {
    take(width * height * format.bytes_per_pixel()).ok_or(FileError::NoBuffer)
}

fn finish(
    buffer: PixelBuffer,
    format: PixelFormat,
    width: usize,
    height: usize,
    bits: u8,
) -> Result<Pixels, FileError> {
    Pixels::new(buffer, format, width, height, bits).map_err(|error| FileError::Broken(error.to_string()))
}

#[cfg(test)]
mod tests;
