//! PNG, JPEG, BMP and WebP through the `image` crate, decoded straight into a pooled buffer where the layout allows.

use std::io::Cursor;

use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::{FileError, buffer, check_size, finish, finish_deep};
use domain::frame::{PixelBuffer, PixelFormat, Pixels};

/// Most bytes that a picture may take that is converted after it was decoded.
const MAX_CONVERTED_BYTES: u64 = 512 << 20;

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
        take: impl FnOnce(usize) -> Option<PixelBuffer>,
    ) -> Result<(Pixels, Option<u8>), FileError> {
        let declared = if self.format == ImageFormat::Png { significant_bits(&self.bytes) } else { None };
        if self.format == ImageFormat::Jpeg && !is_whole_jpeg(&self.bytes) {
            return Err(FileError::Broken("broken Jpeg: it ends before its end marker".into()));
        }
        self.decode(declared, take).map(|pixels| (pixels, declared))
    }

    fn decode(
        self,
        declared: Option<u8>,
        take: impl FnOnce(usize) -> Option<PixelBuffer>,
    ) -> Result<Pixels, FileError> {
        let broken = |error: image::ImageError| FileError::Broken(format!("broken {:?}: {error}", self.format));
        let decoder = ImageReader::with_format(Cursor::new(&self.bytes), self.format).into_decoder().map_err(broken)?;
        let (width, height) = decoder.dimensions();
        let (width, height) = check_size(width.into(), height.into())?;
        match decoder.color_type() {
            ColorType::L8 => {
                let mut pixels = buffer(take, PixelFormat::Mono8, width, height)?;
                decoder.read_image(pixels.bytes_mut()).map_err(broken)?;
                finish(pixels, PixelFormat::Mono8, width, height, 8)
            }
            ColorType::Rgb8 => {
                let mut pixels = buffer(take, PixelFormat::Rgb8, width, height)?;
                decoder.read_image(pixels.bytes_mut()).map_err(broken)?;
                finish(pixels, PixelFormat::Rgb8, width, height, 8)
            }
            ColorType::L16 => {
                let mut pixels = buffer(take, PixelFormat::Mono16, width, height)?;
                // `read_image` writes samples in the machine's byte order.
                decoder.read_image(pixels.bytes_mut()).map_err(broken)?;
                finish_deep(pixels, width, height, declared)
            }
            ColorType::La8 | ColorType::La16 | ColorType::Rgba8 | ColorType::Rgb16 | ColorType::Rgba16 => {
                // Eight bytes a pixel, and a copy: such pictures may be smaller.
                let bytes = decoder.total_bytes();
                if bytes > MAX_CONVERTED_BYTES {
                    return Err(FileError::Unsupported(format!(
                        "{width} x {height} pixels with transparency or deep colour take {bytes} bytes; \
                         at most {MAX_CONVERTED_BYTES} are decoded"
                    )));
                }
                let image = DynamicImage::from_decoder(decoder).map_err(broken)?;
                converted(image, take, width, height)
            }
            other => Err(FileError::Unsupported(format!("pixels of type {other:?} are not supported"))),
        }
    }
}

/// Layouts with transparency or deep colour: transparency is left out, deep colour becomes deep grey.
fn converted(
    image: DynamicImage,
    take: impl FnOnce(usize) -> Option<PixelBuffer>,
    width: usize,
    height: usize,
) -> Result<Pixels, FileError> {
    match image {
        DynamicImage::ImageLumaA8(_) => {
            let mut pixels = buffer(take, PixelFormat::Mono8, width, height)?;
            pixels.bytes_mut().copy_from_slice(image.into_luma8().as_raw());
            finish(pixels, PixelFormat::Mono8, width, height, 8)
        }
        DynamicImage::ImageRgba8(_) => {
            let mut pixels = buffer(take, PixelFormat::Rgb8, width, height)?;
            pixels.bytes_mut().copy_from_slice(image.into_rgb8().as_raw());
            finish(pixels, PixelFormat::Rgb8, width, height, 8)
        }
        deep => {
            let mut pixels = buffer(take, PixelFormat::Mono16, width, height)?;
            pixels.words_mut().copy_from_slice(deep.into_luma16().as_raw());
            finish(pixels, PixelFormat::Mono16, width, height, 16)
        }
    }
}
