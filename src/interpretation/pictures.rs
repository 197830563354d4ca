//! Pictures of cells: chromosomes cut out, thumbnails, whole frames, encoded.

use std::io::Cursor;

use image::{
    ExtendedColorType, ImageEncoder,
    codecs::{
        jpeg::JpegEncoder,
        png::{CompressionType, FilterType, PngEncoder},
    },
};

use domain::{
    BoundingBox, Cell, Chromosome,
    frame::{PixelView, Pixels},
};
use imaging::grey_part;
use karyotype::karyogram;

/// Longer side of a thumbnail in pixels.
const THUMBNAIL_SIDE: usize = 320;

/// A chromosome's pixels, cut out by its outline where it has one, for measures and the karyogram; none outside the frame.
pub fn crop(pixels: &Pixels, chromosome: &Chromosome) -> Option<karyogram::Crop> {
    let r = picture_of(pixels, chromosome)?;
    let (samples, width, height) = grey(pixels, r, 1);
    let crop = karyogram::Crop::new(width, height, samples);
    Some(match &chromosome.outline {
        Some(outline) => crop.within(&outline.rings, r.left, r.top),
        None => crop,
    })
}

/// The pictures of a cell's chromosomes, one each.
pub fn crops(pixels: &Pixels, cell: &Cell) -> Vec<Option<karyogram::Crop>> {
    cell.chromosomes.iter().map(|chromosome| crop(pixels, chromosome)).collect()
}

/// The part of a frame under a box, and its left and top; none where nothing of it lies inside.
pub(super) fn window(pixels: &Pixels, bounds: &BoundingBox) -> Option<(karyogram::Crop, usize, usize)> {
    let r = rect(bounds, pixels)?;
    let (samples, width, height) = grey(pixels, r, 1);
    Some((karyogram::Crop::new(width, height, samples), r.left, r.top))
}

/// The part of a frame that holds a cell as grey PNG, its left and top, and its width and height; none outside the frame.
pub fn cell_png(pixels: &Pixels, cell: &Cell) -> Option<(Vec<u8>, [u32; 2], [u32; 2])> {
    let all = cell.chromosomes.iter().fold(cell.region, |all, c| all.union(&c.bounds));
    let r = rect(&all, pixels)?;
    let (samples, width, height) = grey(pixels, r, 1);
    let size = [width as u32, height as u32];
    Some((grey_png(&samples, size)?, [r.left as u32, r.top as u32], size))
}

fn grey_png(samples: &[u8], [width, height]: [u32; 2]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    PngEncoder::new_with_quality(&mut out, CompressionType::Fast, FilterType::Adaptive)
        .write_image(samples, width, height, ExtendedColorType::L8)
        .ok()?;
    Some(out)
}

/// The part of a frame that shows a chromosome.
fn picture_of(pixels: &Pixels, chromosome: &Chromosome) -> Option<Rect> {
    let size = [pixels.width() as u32, pixels.height() as u32];
    let [left, top, right, bottom] = chromosome.picture_bounds(size).map(|v| v as usize);
    let (width, height) = (right.saturating_sub(left), bottom.saturating_sub(top));
    (width > 0 && height > 0).then_some(Rect { left, top, width, height })
}

/// A rectangle of whole pixels inside the frame.
#[derive(Debug, Clone, Copy)]
struct Rect {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

fn rect(bounds: &BoundingBox, pixels: &Pixels) -> Option<Rect> {
    let (w, h) = (pixels.width(), pixels.height());
    let clipped = bounds.clipped(w as f32, h as f32);
    let (left, top) = (clipped.x.floor() as usize, clipped.y.floor() as usize);
    let width = (clipped.right().ceil() as usize).min(w).saturating_sub(left);
    let height = (clipped.bottom().ceil() as usize).min(h).saturating_sub(top);
    (width > 0 && height > 0).then_some(Rect { left, top, width, height })
}

/// Grey levels of a part of the frame; deep pixels are brought to 8 bits.
fn grey(pixels: &Pixels, r: Rect, step: usize) -> (Vec<u8>, usize, usize) {
    let part = imaging::Rect { left: r.left, top: r.top, right: r.left + r.width, bottom: r.top + r.height };
    (grey_part(pixels, part, step), r.width.div_ceil(step), r.height.div_ceil(step))
}

/// A chromosome's picture as PNG.
pub fn crop_png(pixels: &Pixels, chromosome: &Chromosome) -> Option<Vec<u8>> {
    let (samples, width, height) = grey(pixels, picture_of(pixels, chromosome)?, 1);
    grey_png(&samples, [width as u32, height as u32])
}

/// A small JPEG of the cell.
pub fn thumbnail_jpeg(pixels: &Pixels, region: &BoundingBox) -> Option<Vec<u8>> {
    let r = rect(region, pixels)?;
    let step = r.width.max(r.height).div_ceil(THUMBNAIL_SIDE).max(1);
    let (samples, width, height) = grey(pixels, r, step);
    let mut out = Vec::new();
    JpegEncoder::new_with_quality(&mut out, 80)
        .write_image(&samples, width as u32, height as u32, ExtendedColorType::L8)
        .ok()?;
    Some(out)
}

/// The whole frame as PNG, in its own depth.
pub fn frame_png(pixels: &Pixels) -> Option<Vec<u8>> {
    let mut out = Cursor::new(Vec::new());
    let encoder = PngEncoder::new_with_quality(&mut out, CompressionType::Fast, FilterType::Adaptive);
    let (width, height) = (pixels.width() as u32, pixels.height() as u32);
    match pixels.view() {
        PixelView::Mono8(samples) => encoder.write_image(samples, width, height, ExtendedColorType::L8),
        PixelView::Mono16(samples) => {
            encoder.write_image(bytemuck::cast_slice(samples), width, height, ExtendedColorType::L16)
        }
        PixelView::Rgb8(samples) => encoder.write_image(samples, width, height, ExtendedColorType::Rgb8),
    }
    .ok()?;
    Some(out.into_inner())
}
