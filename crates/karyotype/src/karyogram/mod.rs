//! The karyogram: the chromosomes of a cell arranged by class, as SVG and as PNG.
//!
//! Groups A to G and the sex chromosomes, upright, class below, the probability of each class under each
//! chromosome (in percent; a question mark below 80), empty places dashed, classes of findings marked, and a scale
//! bar where the pixel size is known. The centromeres of a row lie on one line. Both forms are drawn from one layout.

mod field;
pub mod font;
mod layout;
mod raster;
mod svg;
mod upright;

pub use field::field_svg;
pub use imaging::Crop;

use domain::{Cell, Chromosome};

/// How the chromosomes stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Orientation {
    /// Turned upright, bent as they are.
    #[default]
    Upright,
    /// Made straight along their middle line.
    Straight,
}

/// The karyogram as an SVG document with the chromosomes embedded. `crops` go with `cell.chromosomes`, one each;
/// none where there is no picture. Each chromosome is a group with `data-index`, each class one with `data-class`,
/// so that a page can let them be dragged.
pub fn svg(cell: &Cell, crops: &[Option<Crop>], orientation: Orientation) -> String {
    svg::draw(cell, &layout::sheet(cell, crops, orientation))
}

/// Crops from the PNG pictures of a cell's chromosomes, `(index, PNG)`, cut out by their outlines where the record has them; none where
/// there is no readable picture. `bright`: whether chromosomes are bright on dark ground; none: by the tone at each picture's edge.
pub fn crops_of(cell: &Cell, pictures: &[(u32, Vec<u8>)], bright: Option<bool>) -> Vec<Option<Crop>> {
    let crop = |chromosome: &Chromosome| {
        let (_, png) = pictures.iter().find(|(i, _)| *i == chromosome.index)?;
        let grey = image::load_from_memory_with_format(png, image::ImageFormat::Png).ok()?.into_luma8();
        let (width, height) = (grey.width() as usize, grey.height() as usize);
        let mut crop = Crop::new(width, height, grey.into_raw());
        crop.bright = bright.unwrap_or(crop.bright);
        let Some(outline) = &chromosome.outline else { return Some(crop) };
        let [left, top, right, bottom] = chromosome.picture_bounds(cell.captured.size).map(|v| v as usize);
        // A picture of another size was not cut by this record.
        let fits = (width, height) == (right - left, bottom - top);
        Some(if fits { crop.within(&outline.rings, left, top) } else { crop })
    };
    cell.chromosomes.iter().map(crop).collect()
}

/// The karyogram as PNG, `zoom` pixels a unit of the SVG (2 prints well).
///
/// # Errors
/// What the PNG encoder said.
pub fn png(
    cell: &Cell,
    crops: &[Option<Crop>],
    orientation: Orientation,
    zoom: u32,
) -> Result<Vec<u8>, image::ImageError> {
    raster::draw(cell, &layout::sheet(cell, crops, orientation), zoom.clamp(1, 8))
}

/// Length of the scale bar in micrometres.
const BAR_UM: f32 = 5.0;

/// Scale bar: its length on the sheet.
fn bar(cell: &Cell, sheet: &layout::Sheet) -> Option<f32> {
    let um_per_px = cell.captured.um_per_px.filter(|um| um.is_finite() && *um > 0.0)? as f32;
    let length = BAR_UM / um_per_px * sheet.scale;
    (length < sheet.width / 2.0).then_some(length)
}

/// The line under the title.
fn subtitle(cell: &Cell, sheet: &layout::Sheet) -> String {
    let verdict = cell.karyotype.verdict.words();
    let withheld = if sheet.sex_withheld { ", sex chromosomes not shown" } else { "" };
    format!("{verdict}, {} chromosomes found{withheld}", cell.counts.detected)
}

/// Under the sheet: what the numbers mean.
const LEGEND: &str = "Under each chromosome the probability of its class in %, ? below 80.";

/// Which cell it is.
fn identity(cell: &Cell) -> String {
    let mut parts = Vec::new();
    parts.extend(cell.case.as_ref().map(|case| format!("case {case}")));
    parts.extend(cell.slide.as_ref().map(|slide| format!("slide {slide}")));
    parts.push(cell.captured.file.clone().unwrap_or_else(|| format!("cell {}", cell.cell)));
    if let Some(review) = &cell.review {
        parts.push(format!("reviewed by {}", review.by));
    }
    parts.join(", ")
}

/// The title: the karyotype, or that there is none.
fn title(cell: &Cell) -> &str {
    cell.karyotype.iscn.as_deref().unwrap_or("no karyotype")
}

#[cfg(test)]
mod tests;
