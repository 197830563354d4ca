//! What the store keeps of the pictures of a cell: its frame, or its chromosomes put back at their places. Pure but for the file.

use std::{io::Cursor, path::Path};

use image::{DynamicImage, GrayImage, ImageFormat, ImageReader, Luma, imageops};

use domain::{
    Cell,
    frame::{PixelBuffer, PixelFormat, Pixels},
};
use imaging::stretched;
use karyotype::karyogram::{self, Orientation};

/// A picture that cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The file is gone or unreadable.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is no picture, or cannot be written as one.
    #[error("{0}")]
    Image(#[from] image::ImageError),
    /// The record says that the frame is absurdly large.
    #[error("a frame of {0} x {1} pixels is too large to compose; expected at most 20000 a side")]
    TooLarge(u32, u32),
}

/// The picture in `file` as an 8-bit PNG. An 8-bit PNG is handed on as it is.
pub fn as_png(file: &Path) -> Result<Vec<u8>, PictureError> {
    let bytes = std::fs::read(file)?;
    // The bit depth stands at byte 24, in the header chunk that every PNG begins with.
    let eight_bit_png = bytes.starts_with(b"\x89PNG\r\n\x1a\n") && bytes.get(24) == Some(&8);
    if eight_bit_png {
        return Ok(bytes);
    }
    let picture = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?.decode()?;
    let picture = match picture {
        DynamicImage::ImageLuma16(deep) => {
            let (width, height) = deep.dimensions();
            let spread = GrayImage::from_raw(width, height, stretched(&deep.into_raw()));
            DynamicImage::ImageLuma8(spread.unwrap_or_default())
        }
        other => other.into_rgb8().into(),
    };
    png(&picture)
}

/// A picture as grey pixels to measure on.
///
/// # Errors
/// When it is no picture.
pub fn as_pixels(png: &[u8]) -> Result<Pixels, PictureError> {
    let grey = image::load_from_memory(png)?.into_luma8();
    let (width, height) = grey.dimensions();
    let buffer = PixelBuffer::from_bytes(grey.as_raw());
    Pixels::new(buffer, PixelFormat::Mono8, width as usize, height as usize, 8)
        .map_err(|_| PictureError::TooLarge(width, height))
}

/// The chromosomes of a cell at their places, on ground of the tone at their pictures' edges.
pub fn compose(cell: &Cell, crops: &[(u32, Vec<u8>)]) -> Result<Vec<u8>, PictureError> {
    let [width, height] = cell.captured.size;
    if width > 20_000 || height > 20_000 {
        return Err(PictureError::TooLarge(width, height));
    }
    let mut pieces = Vec::with_capacity(crops.len());
    for (index, bytes) in crops {
        if let Some(chromosome) = cell.chromosomes.iter().find(|c| c.index == *index) {
            let picture = image::load_from_memory_with_format(bytes, ImageFormat::Png)?.into_luma8();
            let own = chromosome.outline.is_some().then(|| chromosome.picture_bounds(cell.captured.size));
            pieces.push((chromosome.bounds, own, picture));
        }
    }
    let mut edges: Vec<u8> = pieces.iter().flat_map(|(.., picture)| edge(picture)).collect();
    edges.sort_unstable();
    let ground = edges.get(edges.len() / 2).copied().unwrap_or(230);
    let mut canvas = GrayImage::from_pixel(width, height, Luma([ground]));
    for (bounds, own, picture) in &pieces {
        let (left, top) = match own {
            Some([left, top, ..]) => (i64::from(*left), i64::from(*top)),
            // A crop may be a little larger than its box, all around.
            None => {
                let left = bounds.x + (bounds.width - picture.width() as f32) / 2.0;
                let top = bounds.y + (bounds.height - picture.height() as f32) / 2.0;
                (left.round() as i64, top.round() as i64)
            }
        };
        imageops::replace(&mut canvas, picture, left, top);
    }
    png(&DynamicImage::ImageLuma8(canvas))
}

/// The karyogram of a cell as SVG. `bright`: the chromosomes are bright on dark ground. A crop that cannot be read is
/// left out.
pub fn karyogram(cell: &Cell, crops: &[(u32, Vec<u8>)], bright: bool, orientation: Orientation) -> String {
    let pictures = karyogram::crops_of(cell, crops, Some(bright));
    karyogram::svg(cell, &pictures, orientation)
}

fn edge(picture: &GrayImage) -> impl Iterator<Item = u8> + '_ {
    let (width, height) = picture.dimensions();
    picture
        .enumerate_pixels()
        .filter(move |(x, y, _)| *x == 0 || *y == 0 || x + 1 == width || y + 1 == height)
        .map(|(_, _, pixel)| pixel.0[0])
}

fn png(picture: &DynamicImage) -> Result<Vec<u8>, PictureError> {
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, ImageFormat::Png)?;
    Ok(out.into_inner())
}
