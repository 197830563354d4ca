//! Pictures of cells: chromosomes cut out, thumbnails, whole frames, encoded.

use image::ExtendedColorType;

use domain::{
    BoundingBox, Cell, Chromosome,
    frame::{PixelView, Pixels},
};
use imaging::{grey_part, jpeg_of, png_of};
use karyotype::karyogram;

/// Longer side of a thumbnail in pixels.
const THUMBNAIL_SIDE: usize = 320;
/// Its quality as JPEG.
const THUMBNAIL_QUALITY: u8 = 80;

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
    let png = png_of(&samples, size, ExtendedColorType::L8).ok()?;
    Some((png, [r.left as u32, r.top as u32], size))
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
    png_of(&samples, [width as u32, height as u32], ExtendedColorType::L8).ok()
}

/// A small JPEG of the cell.
pub fn thumbnail_jpeg(pixels: &Pixels, region: &BoundingBox) -> Option<Vec<u8>> {
    let r = rect(region, pixels)?;
    let step = r.width.max(r.height).div_ceil(THUMBNAIL_SIDE).max(1);
    let (samples, width, height) = grey(pixels, r, step);
    jpeg_of(&samples, [width as u32, height as u32], ExtendedColorType::L8, THUMBNAIL_QUALITY).ok()
}

/// The whole frame as PNG, in its own depth.
pub fn frame_png(pixels: &Pixels) -> Option<Vec<u8>> {
    let size = [pixels.width() as u32, pixels.height() as u32];
    match pixels.view() {
        PixelView::Mono8(samples) => png_of(samples, size, ExtendedColorType::L8),
        PixelView::Mono16(samples) => png_of(bytemuck::cast_slice(samples), size, ExtendedColorType::L16),
        PixelView::Rgb8(samples) => png_of(samples, size, ExtendedColorType::Rgb8),
    }
    .ok()
}
