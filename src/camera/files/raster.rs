//! PNG, JPEG, BMP and WebP through the `image` crate, decoded straight into a pooled buffer where the layout allows.

use image::{ColorType, ImageDecoder, ImageFormat};

use super::{FileError, buffer, check_memory, check_size, finish, finish_deep};
use domain::frame::{PixelBuffer, PixelFormat, Pixels};

/// What a file's first bytes say it is.
pub(super) fn format_of(head: &[u8]) -> Result<ImageFormat, FileError> {
    if head.is_empty() {
        return Err(FileError::Broken("the file is empty".into()));
    }
    let format = image::guess_format(head)
        .map_err(|_| FileError::Unsupported("the first bytes are of no image format we know".into()))?;
    match format {
        ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Bmp | ImageFormat::WebP => Ok(format),
        other => Err(FileError::Unsupported(format!("{other:?} is not supported"))),
    }
}

/// The bits that a PNG's `sBIT` chunk gives to a grey sample, where its samples were not scaled up to 16 bits.
fn significant_bits(bytes: &[u8]) -> Option<u8> {
    let mut at = 8;
    while let Some(header) = bytes.get(at..at + 8) {
        let length = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
        match &header[4..] {
            b"sBIT" => return bytes.get(at + 8).copied().filter(|_| length >= 1),
            b"IDAT" => return None,
            _ => at = at.checked_add(length)?.checked_add(12)?,
        }
    }
    None
}

/// Whether a JPEG ends with its end marker. The decoder fills up what is missing with grey, and says nothing.
fn is_whole_jpeg(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[marker, code]) = bytes.get(at..at + 2).and_then(|pair| pair.first_chunk::<2>()) {
        match (marker, code) {
            (0xff, 0xd9) => return true,
            // Fill bytes, stuffed bytes, restarts: all within or between pieces of coded data.
            (0xff, 0xff) => at += 1,
            (0xff, 0x00 | 0x01 | 0xd0..=0xd8) => at += 2,
            (0xff, _) => {
                let Some(length) = bytes.get(at + 2..at + 4) else { return false };
                at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
            }
            _ => at += 1,
        }
    }
    false
}

pub(super) struct Raster {
    bytes: Vec<u8>,
    format: ImageFormat,
}

impl Raster {
    pub(super) fn new(bytes: Vec<u8>, format: ImageFormat) -> Self {
        Self { bytes, format }
    }

    /// The picture, and the valid bits of a deep sample where the file says them.
    pub(super) fn read(
        self,
        most: u64,
        take: impl FnOnce(usize) -> Option<PixelBuffer>,
    ) -> Result<(Pixels, Option<u8>), FileError> {
        let declared = if self.format == ImageFormat::Png { significant_bits(&self.bytes) } else { None };
        if self.format == ImageFormat::Jpeg && !is_whole_jpeg(&self.bytes) {
            return Err(FileError::Broken("broken Jpeg: it ends before its end marker".into()));
        }
        self.decode(declared, most, take).map(|pixels| (pixels, declared))
    }

    fn decode(
        self,
        declared: Option<u8>,
        most: u64,
        take: impl FnOnce(usize) -> Option<PixelBuffer>,
    ) -> Result<Pixels, FileError> {
        let broken = |error: image::ImageError| FileError::Broken(format!("broken {:?}: {error}", self.format));
        let decoder = imaging::picture_decoder(&self.bytes, self.format).map_err(broken)?;
        let (width, height) = decoder.dimensions();
        let (width, height) = check_size(width.into(), height.into())?;
        let color = decoder.color_type();
        let format = match color {
            ColorType::L8 | ColorType::La8 => PixelFormat::Mono8,
            ColorType::Rgb8 | ColorType::Rgba8 => PixelFormat::Rgb8,
            ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => PixelFormat::Mono16,
            other => return Err(FileError::Unsupported(format!("pixels of type {other:?} are not supported"))),
        };
        let is_direct = matches!(color, ColorType::L8 | ColorType::Rgb8 | ColorType::L16);
        let own = (width * height * format.bytes_per_pixel()) as u64;
        let decoded = if is_direct { 0 } else { decoder.total_bytes() };
        let bytes = own.saturating_add(decoded).saturating_add(self.bytes.len() as u64);
        check_memory(width, height, bytes, most)?;
        let mut pixels = buffer(take, format, width, height)?;
        if is_direct {
            // `read_image` writes samples in the machine's byte order.
            decoder.read_image(pixels.bytes_mut()).map_err(broken)?;
        } else {
            let mut samples = PixelBuffer::unpooled(decoded as usize);
            decoder.read_image(samples.bytes_mut()).map_err(broken)?;
            convert(color, &samples, &mut pixels);
        }
        match format {
            PixelFormat::Mono16 if is_direct => finish_deep(pixels, width, height, declared),
            PixelFormat::Mono16 => finish(pixels, format, width, height, 16),
            _ => finish(pixels, format, width, height, 8),
        }
    }
}

/// Layouts with transparency or deep colour: transparency is left out, deep colour becomes deep grey.
fn convert(color: ColorType, from: &PixelBuffer, to: &mut PixelBuffer) {
    match color {
        ColorType::La8 => {
            to.bytes_mut().iter_mut().zip(from.bytes().chunks_exact(2)).for_each(|(to, from)| *to = from[0]);
        }
        ColorType::Rgba8 => {
            let pixels = to.bytes_mut().chunks_exact_mut(3).zip(from.bytes().chunks_exact(4));
            pixels.for_each(|(to, from)| to.copy_from_slice(&from[..3]));
        }
        ColorType::La16 => {
            to.words_mut().iter_mut().zip(from.words().chunks_exact(2)).for_each(|(to, from)| *to = from[0]);
        }
        _ => {
            let samples = if color == ColorType::Rgba16 { 4 } else { 3 };
            let pixels = to.words_mut().iter_mut().zip(from.words().chunks_exact(samples));
            pixels.for_each(|(to, from)| *to = imaging::luma16([from[0], from[1], from[2]]));
        }
    }
}
