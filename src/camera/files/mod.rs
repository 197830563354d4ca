//! Image files: PNG, JPEG, BMP, WebP, and TIFF with several pages, 16 bits and OME-TIFF's metadata.

mod imagej;
mod lzw;
mod micromanager;
mod ome;
mod overlay;
mod raster;
mod tiff;

use std::{
    fs::File,
    io::{self, BufReader, Cursor, Read, Seek},
    path::Path,
};

use crate::station::RejectReason;
use domain::{
    ErrorKind, HasKind, StagePosition,
    frame::{PixelBuffer, PixelFormat, Pixels},
};

/// Largest picture that is read: 2^28 pixels.
const MAX_PIXELS: u64 = 1 << 28;
/// Most memory that a picture may take while it is read, unless configured.
pub const PICTURE_BYTES: u64 = 1 << 30;
/// Longest companion document of an OME-TIFF, in bytes.
const MAX_COMPANION_BYTES: u64 = 64 << 20;

/// Why a file gave no picture.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read now; that is no property of the file.
    #[error("cannot read it: {0}")]
    Io(#[from] io::Error),
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
    /// Reading it would take more memory than a picture may have.
    #[error(
        "reading {width} x {height} pixels takes {bytes} bytes of memory; at most {most} are used (memory.picture)"
    )]
    TooMuchMemory {
        /// Width found.
        width: usize,
        /// Height found.
        height: usize,
        /// Bytes of the file in memory, of the decoded samples and of the picture.
        bytes: u64,
        /// Most bytes.
        most: u64,
    },
    /// No buffer is free for it.
    #[error("no buffer is free")]
    NoBuffer,
}

impl FileError {
    /// What an error while reading means: data that end too early or make no sense are the file's, all else passes.
    fn from_read(error: io::Error, broken: &str) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Broken(format!("{broken}: it ends too early")),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other => {
                Self::Broken(format!("{broken}: {error}"))
            }
            _ => Self::Io(error),
        }
    }

    /// True for an error that may be gone at the next try: too many open files, a right that is not granted yet, a
    /// network share that is away.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Io(_))
    }

    /// The reason that a file is rejected with.
    pub fn reason(&self) -> RejectReason {
        match self {
            Self::Unsupported(_) | Self::TooMuchMemory { .. } => RejectReason::Unsupported,
            _ => RejectReason::Unreadable,
        }
    }
}

impl HasKind for FileError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io(error) => error.into(),
            Self::Unsupported(_) | Self::Broken(_) | Self::TooLarge { .. } | Self::TooMuchMemory { .. } => {
                ErrorKind::BadData
            }
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
    /// Valid bits of a sample of 16, where the file says them.
    pub declared_bits: Option<u8>,
}

impl PageFacts {
    /// These, and what `other` knows where these do not.
    fn or(self, other: Self) -> Self {
        Self {
            um_per_px: self.um_per_px.or(other.um_per_px),
            stage_um: self.stage_um.or(other.stage_um),
            channel: self.channel.or(other.channel),
            declared_bits: self.declared_bits.or(other.declared_bits),
        }
    }
}

/// A file whose pictures are read one after another.
pub struct ImageFile {
    kind: Kind,
    /// Most memory that one of its pictures may take while it is read, in bytes.
    most: u64,
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
    /// Opens a file; its first bytes, not its name, say what it is. Nothing else is read before they are known, and of
    /// a TIFF file no more than its directories.
    ///
    /// # Errors
    /// When it cannot be read or is no image.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        Self::open_within(path, PICTURE_BYTES)
    }

    /// The same with another limit for the memory that one picture may take while it is read, in bytes.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_within(path: &Path, most: u64) -> Result<Self, FileError> {
        let mut file = File::open(path)?;
        let mut head = [0; 16];
        let mut known = 0;
        while known < head.len() {
            match file.read(&mut head[known..])? {
                0 => break,
                read => known += read,
            }
        }
        file.rewind()?;
        if is_tiff(&head[..known]) {
            let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
            let companion = |named: &str| companion(path, named);
            let tiff = tiff::TiffFile::new(Box::new(BufReader::with_capacity(1 << 16, file)), name, companion, most)?;
            return Ok(Self { kind: Kind::Tiff(Box::new(tiff)), most });
        }
        let format = raster::format_of(&head[..known])?;
        let length = file.metadata()?.len();
        if length > most {
            return Err(FileError::Unsupported(format!(
                "a file of {length} bytes; at most {most} are read (memory.picture)"
            )));
        }
        let mut bytes = Vec::with_capacity(length as usize);
        file.take(most).read_to_end(&mut bytes)?;
        Ok(Self { kind: Kind::Raster(Some(raster::Raster::new(bytes, format))), most })
    }

    /// Opens a file's bytes.
    ///
    /// # Errors
    /// When they are no image.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, FileError> {
        Self::from_bytes_within(bytes, PICTURE_BYTES)
    }

    /// The same with another limit for the memory that one picture may take while it is read, in bytes.
    ///
    /// # Errors
    /// As [`Self::from_bytes`].
    pub fn from_bytes_within(bytes: Vec<u8>, most: u64) -> Result<Self, FileError> {
        let kind = if is_tiff(&bytes) {
            let tiff = tiff::TiffFile::new(Box::new(Cursor::new(bytes)), None, |_| None, most)?;
            Kind::Tiff(Box::new(tiff))
        } else {
            let format = raster::format_of(&bytes)?;
            Kind::Raster(Some(raster::Raster::new(bytes, format)))
        };
        Ok(Self { kind, most })
    }

    /// How many pictures it holds.
    pub fn pages(&self) -> usize {
        match &self.kind {
            Kind::Raster(_) => 1,
            Kind::Tiff(tiff) => tiff.pages(),
        }
    }

    /// Reads the picture `page` (from 0) into a buffer that `take` gives. It is asked for once the size is known and
    /// before anything is decoded.
    ///
    /// # Errors
    /// When it is broken, too large or of an unsupported layout.
    pub fn read(&mut self, page: usize, take: impl FnOnce(usize) -> Option<PixelBuffer>) -> Result<Page, FileError> {
        match &mut self.kind {
            Kind::Raster(raster) => {
                let raster = raster.take().ok_or_else(|| FileError::Broken("it has been read already".into()))?;
                let (pixels, declared_bits) = raster.read(self.most, take)?;
                Ok(Page { pixels, facts: PageFacts { declared_bits, ..PageFacts::default() } })
            }
            Kind::Tiff(tiff) => tiff.read(page, self.most, take),
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

fn is_tiff(head: &[u8]) -> bool {
    [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|magic| head.starts_with(*magic))
}

/// The text of a companion file in the same folder, whatever folder its name mentions.
fn companion(of: &Path, named: &str) -> Option<String> {
    let path = of.with_file_name(Path::new(named).file_name()?);
    let mut text = String::new();
    File::open(path).ok()?.take(MAX_COMPANION_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
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

/// Refuses a picture for whose reading `bytes` bytes are needed.
fn check_memory(width: usize, height: usize, bytes: u64, most: u64) -> Result<(), FileError> {
    if bytes > most { Err(FileError::TooMuchMemory { width, height, bytes, most }) } else { Ok(()) }
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

/// 16-bit pixels with as many valid bits as the file declares; with more where a sample is beyond them, since then the
/// declaration is wrong.
fn finish_deep(
    mut pixels: PixelBuffer,
    width: usize,
    height: usize,
    declared: Option<u8>,
) -> Result<Pixels, FileError> {
    let bits = match declared.filter(|bits| (8..16).contains(bits)) {
        Some(bits) => bits.max(bits_of(pixels.words_mut())),
        None => 16,
    };
    finish(pixels, PixelFormat::Mono16, width, height, bits)
}

/// Bits that the largest sample takes.
fn bits_of(samples: &[u16]) -> u8 {
    16 - samples.iter().copied().max().unwrap_or(0).leading_zeros() as u8
}

#[cfg(test)]
mod cases_tests;
#[cfg(test)]
mod tests;
