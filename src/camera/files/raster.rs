//! PNG, JPEG, BMP and WebP through the `image` crate, decoded straight into a pooled buffer where the layout allows.

use std::io::Cursor;

use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::{FileError, buffer, check_size, finish};
use domain::frame::{PixelBuffer, PixelFormat, Pixels};

pub(super) struct Raster {
    bytes: Vec<u8>,
    format: ImageFormat,
}

impl Raster {
    pub(super) fn new(bytes: Vec<u8>) -> Result<Self, FileError> {
        if bytes.is_empty() {
            return Err(FileError::Broken("the file is empty".into()));
        }
        let format = image::guess_format(&bytes)
            .map_err(|_| FileError::Unsupported("the first bytes are of no image format we know".into()))?;
        match format {
            ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Bmp | ImageFormat::WebP => Ok(Self { bytes, format }),
            other => Err(FileError::Unsupported(format!("{other:?} is not supported"))),
        }
    }

    pub(super) fn read(self, take: impl FnOnce(usize) -> Option<PixelBuffer>) -> Result<Pixels, FileError> {
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
                finish(pixels, PixelFormat::Mono16, width, height, 16)
            }
            ColorType::La8 | ColorType::La16 | ColorType::Rgba8 | ColorType::Rgb16 | ColorType::Rgba16 => {
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
