//! Pictures in the forms of files, read and written by the crate `image`. Its readers and writers are generic, and generic code is
//! compiled, and optimised, by the crate that names its types: this one is optimised fully, the daemon's is not.

use std::io::Cursor;

use image::{
    ExtendedColorType, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, ImageResult,
    codecs::{
        jpeg::JpegEncoder,
        png::{CompressionType, FilterType, PngEncoder},
    },
};

/// A reader of a picture in memory; its samples are read in one go.
///
/// # Errors
/// When the head of the picture is broken or of a kind that is not read.
pub fn picture_decoder(bytes: &[u8], format: ImageFormat) -> ImageResult<Box<dyn ImageDecoder + '_>> {
    Ok(Box::new(ImageReader::with_format(Cursor::new(bytes), format).into_decoder()?))
}

/// A picture of width and height as PNG, packed quickly; `samples` are those of `colour` in the machine's byte order.
///
/// # Errors
/// When the encoder refuses the picture.
///
/// # Panics
/// When the samples do not fit the size.
pub fn png_of(samples: &[u8], [width, height]: [u32; 2], colour: ExtendedColorType) -> ImageResult<Vec<u8>> {
    let mut out = Vec::new();
    PngEncoder::new_with_quality(&mut out, CompressionType::Fast, FilterType::Adaptive)
        .write_image(samples, width, height, colour)?;
    Ok(out)
}

/// A picture of width and height as JPEG of a quality from 1 to 100.
///
/// # Errors
/// When the encoder refuses the picture (a side over 65535).
///
/// # Panics
/// When the samples do not fit the size.
pub fn jpeg_of(
    samples: &[u8],
    [width, height]: [u32; 2],
    colour: ExtendedColorType,
    quality: u8,
) -> ImageResult<Vec<u8>> {
    let mut out = Vec::with_capacity(samples.len() / 6);
    JpegEncoder::new_with_quality(&mut out, quality).write_image(samples, width, height, colour)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_comes_back() {
        let samples: Vec<u8> = (0..40 * 30).map(|i| (i % 40 * 3 + i / 40 * 4) as u8).collect();
        let read = |bytes: &[u8], format| {
            let decoder = picture_decoder(bytes, format).unwrap();
            assert_eq!(decoder.dimensions(), (40, 30));
            let mut back = vec![0; 40 * 30];
            decoder.read_image(&mut back).unwrap();
            back
        };
        let png = png_of(&samples, [40, 30], ExtendedColorType::L8).unwrap();
        assert_eq!(read(&png, ImageFormat::Png), samples);
        let jpeg = jpeg_of(&samples, [40, 30], ExtendedColorType::L8, 90).unwrap();
        assert!(read(&jpeg, ImageFormat::Jpeg).iter().zip(&samples).all(|(a, b)| a.abs_diff(*b) < 12));
        assert!(jpeg_of(&[0; 65_536], [65_536, 1], ExtendedColorType::L8, 90).is_err());
        assert!(picture_decoder(&png[..20], ImageFormat::Png).is_err());
    }
}
