//! `analyze --stages`: what each stage made of a picture, as a contact sheet for people who tune.

use std::{
    fs,
    path::{Path, PathBuf},
};

use domain::{BoundingBox, Cell, Stain, frame::Frame};
use imaging::{
    AxisScratch, GrayImage, GrayView, MedialAxis, Polarity, Rect, RegionKind, Segmentation, draw_box,
    draw_mask_outline, scale_to, to_rgb,
};
use karyotype::karyogram::font;
use recognition::{Segmented, Triage, TriageOptions};

/// Widest and highest panel in pixels.
const PANEL_SIZE: (usize, usize) = (720, 560);
/// Height of a panel's heading.
const HEADING_HEIGHT: usize = 28;
const GAP: usize = 8;

const TEXT_INK: [u8; 3] = [26; 3];

/// Draws contact sheets; keeps its buffers.
#[derive(Default)]
pub struct ContactSheet {
    grey: GrayImage,
    triage: Triage,
    segmented: Segmented,
    axis: MedialAxis,
    scratch: AxisScratch,
}

/// A picture in colour with words above it.
struct Panel {
    title: String,
    width: usize,
    rgb: Vec<u8>,
}

impl ContactSheet {
    /// Writes the sheet of a frame into `folder`, named after the file; returns its path.
    ///
    /// # Errors
    /// In words, when the frame has no pixels to work on or the file cannot be written.
    pub fn write(
        &mut self,
        folder: &Path,
        name: &str,
        frame: &Frame,
        stain: Stain,
        cells: &[Cell],
    ) -> Result<PathBuf, String> {
        self.grey.read_frame(&frame.pixels);
        let view = self.grey.view().map_err(|error| error.to_string())?;
        let mut panels = vec![triaged(&mut self.triage, view, stain)];
        if let Some((prepared, found)) = self.segmented.segment(frame, stain) {
            let plane = prepared.plane.view().map_err(|error| error.to_string())?;
            let polarity =
                if prepared.polarity == Polarity::BrightOnDark { "bright on dark" } else { "dark on bright" };
            panels.push(Panel {
                title: format!("prepared: {polarity}, noise {:.1}, even light", prepared.noise),
                width: plane.width(),
                rgb: to_rgb(plane),
            });
            panels.push(kinds(plane, found));
            panels.push(outlines(plane, found));
            panels.push(straightened(plane, found, &mut self.axis, &mut self.scratch));
        }
        panels.push(recognised(self.grey.view().map_err(|error| error.to_string())?, cells));
        let flat: String = name.chars().map(|c| if c == '/' || c == '\\' { '_' } else { c }).collect();
        let path = folder.join(format!("{flat}.stages.png"));
        let (width, rgb) = sheet(&panels);
        let height = rgb.len() / 3 / width;
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        image::save_buffer(&path, &rgb, width as u32, height as u32, image::ColorType::Rgb8)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }
}

fn triaged(triage: &mut Triage, view: GrayView<'_>, stain: Stain) -> Panel {
    let polarity = if stain.is_fluorescence() { Polarity::BrightOnDark } else { Polarity::DarkOnBright };
    let assessed = triage.assess(view, &TriageOptions { polarity, ..TriageOptions::default() });
    let mut rgb = to_rgb(view);
    for spread in &assessed.spreads {
        thick_box(&mut rgb, view.width(), &spread.bounds, [30, 110, 255]);
    }
    let q = assessed.quality;
    let title = format!(
        "triage: {}; metaphase {:.2}, focus {:.2}, spread {:.2}",
        assessed.verdict, q.metaphase, q.focus, q.spread
    );
    Panel { title, width: view.width(), rgb }
}

fn colour(kind: RegionKind) -> [u8; 3] {
    match kind {
        RegionKind::Single => [0, 140, 60],
        RegionKind::Touching => [230, 150, 0],
        RegionKind::Crossing => [190, 0, 190],
        RegionKind::Nucleus => [40, 90, 220],
        RegionKind::Debris => [210, 30, 30],
    }
}

/// Every region filled with the colour of its kind.
fn kinds(plane: GrayView<'_>, found: &Segmentation) -> Panel {
    let mut rgb = to_rgb(plane);
    let mut counts = [0; 5];
    for region in &found.regions {
        counts[region.kind as usize] += 1;
        let tint = colour(region.kind);
        for (i, _) in found.mask(region).iter().enumerate().filter(|(_, m)| **m != 0) {
            let (x, y) =
                (region.bounds.left + i % region.bounds.width(), region.bounds.top + i / region.bounds.width());
            let pixel = &mut rgb[(y * plane.width() + x) * 3..][..3];
            for (value, tint) in pixel.iter_mut().zip(tint) {
                *value = ((u16::from(*value) + 2 * u16::from(tint)) / 3) as u8;
            }
        }
    }
    let names = ["single (green)", "touching (orange)", "crossing (violet)", "nuclei (blue)", "debris (red)"];
    let named: Vec<String> =
        counts.iter().zip(names).filter(|(n, _)| **n > 0).map(|(n, name)| format!("{n} {name}")).collect();
    let title = if named.is_empty() { "kinds: nothing found".to_owned() } else { named.join(", ") };
    Panel { title, width: plane.width(), rgb }
}

fn outlines(plane: GrayView<'_>, found: &Segmentation) -> Panel {
    let mut rgb = to_rgb(plane);
    for region in &found.regions {
        draw_mask_outline(&mut rgb, plane.width(), region.bounds, found.mask(region), colour(region.kind));
    }
    let width = found.chromosome_width.map_or("unknown".to_owned(), |w| format!("{w:.1} px"));
    let title = format!("outlines: width {width}, {} below the background", found.threshold);
    Panel { title, width: plane.width(), rgb }
}

/// Every chromosome along its medial axis, longest first.
fn straightened(plane: GrayView<'_>, found: &Segmentation, axis: &mut MedialAxis, scratch: &mut AxisScratch) -> Panel {
    let half = found.chromosome_width.map_or(8, |w| w as usize) + 2;
    let mut pictures = Vec::new();
    for region in found.chromosomes() {
        axis.trace(found.mask(region), region.bounds, scratch);
        let mut picture = GrayImage::default();
        axis.straighten(plane, half, &mut picture);
        if picture.width > 1 && picture.height > 1 {
            pictures.push(picture);
        }
    }
    // Upright: the axis runs along the longer side.
    pictures.sort_by_key(|p| std::cmp::Reverse(p.width.max(p.height)));
    let (width, mut x, mut y, mut row) = (PANEL_SIZE.0, GAP, GAP, 0);
    let mut rgb = vec![255u8; 3 * width * PANEL_SIZE.1];
    for p in &pictures {
        let (w, h) = (p.width, p.height);
        if x + w + GAP > width {
            (x, y, row) = (GAP, y + row + GAP, 0);
        }
        if y + h > PANEL_SIZE.1 {
            break;
        }
        for line in 0..h {
            for column in 0..w {
                let at = ((y + line) * width + x + column) * 3;
                rgb[at..at + 3].fill(p.data[line * w + column]);
            }
        }
        (x, row) = (x + w + GAP, row.max(h));
    }
    Panel { title: format!("straightened: {} along their axes, longest first", pictures.len()), width, rgb }
}

fn recognised(view: GrayView<'_>, cells: &[Cell]) -> Panel {
    let mut rgb = to_rgb(view);
    for chromosome in cells.iter().flat_map(|cell| &cell.chromosomes) {
        let ink = if chromosome.score >= 0.8 { [0, 140, 60] } else { [210, 30, 30] };
        thick_box(&mut rgb, view.width(), &chromosome.bounds, ink);
        if let Some(class) = chromosome.class {
            let (x, y) = (chromosome.bounds.x as usize + 2, chromosome.bounds.y as usize + 3);
            text(&mut rgb, view.width(), x, y, 2, class.name(), ink);
        }
    }
    let karyotype = match cells {
        [] => "no cell".to_owned(),
        [Cell { dicentric: Some(record), .. }] => record.headline(),
        [cell] => cell.karyotype.iscn.clone().unwrap_or_else(|| "no karyotype".to_owned()),
        cells => format!("{} cells", cells.len()),
    };
    let n: usize = cells.iter().map(|cell| cell.chromosomes.len()).sum();
    Panel { title: format!("recognised: {n} chromosomes, {karyotype}"), width: view.width(), rgb }
}

fn thick_box(rgb: &mut [u8], width: usize, b: &BoundingBox, ink: [u8; 3]) {
    let outer = Rect { left: b.x as usize, top: b.y as usize, right: b.right() as usize, bottom: b.bottom() as usize };
    draw_box(rgb, width, outer, ink);
    let inner = Rect {
        left: outer.left + 1,
        top: outer.top + 1,
        right: outer.right.saturating_sub(1),
        bottom: outer.bottom.saturating_sub(1),
    };
    draw_box(rgb, width, inner, ink);
}

/// Panels in three columns, each shrunk to its place.
fn sheet(panels: &[Panel]) -> (usize, Vec<u8>) {
    const COLUMNS: usize = 3;
    let (step_x, step_y) = (PANEL_SIZE.0 + GAP, PANEL_SIZE.1 + HEADING_HEIGHT + GAP);
    let width = COLUMNS * step_x + GAP;
    let mut rgb = vec![255u8; 3 * width * (panels.len().div_ceil(COLUMNS) * step_y + GAP)];
    for (i, panel) in panels.iter().enumerate() {
        let (left, top) = (GAP + i % COLUMNS * step_x, GAP + i / COLUMNS * step_y);
        // Six pixels a letter: what does not fit into a line at twice the size gets the single size.
        let size = if panel.title.chars().count() * 12 <= PANEL_SIZE.0 { 2 } else { 1 };
        text(&mut rgb, width, left, top + 4, size, &panel.title, TEXT_INK);
        let height = panel.rgb.len() / 3 / panel.width;
        let scale = (PANEL_SIZE.0 as f32 / panel.width as f32).min(PANEL_SIZE.1 as f32 / height as f32).min(1.0);
        let (w, h) = ((panel.width as f32 * scale) as usize, (height as f32 * scale) as usize);
        for channel in 0..3 {
            let plane: Vec<u8> = panel.rgb.iter().skip(channel).step_by(3).copied().collect();
            let Ok(view) = GrayView::new(&plane, panel.width, height) else { continue };
            let mut small = GrayImage::default();
            scale_to(view, w, h, &mut small);
            for y in 0..small.height {
                for x in 0..small.width {
                    rgb[((top + HEADING_HEIGHT + y) * width + left + x) * 3 + channel] =
                        small.data[y * small.width + x];
                }
            }
        }
    }
    (width, rgb)
}

/// Letters of 5 x 7 dots, `size` pixels a dot; what lies outside is left out.
fn text(rgb: &mut [u8], width: usize, left: usize, top: usize, size: usize, words: &str, ink: [u8; 3]) {
    // A bitmap letter was seven units tall; the line of text is about ten.
    let tall = 10.0 * size as f32;
    font::draw(words, tall, left as f32, top as f32 + 0.75 * tall, |x, y, cover| {
        if x < 0 || y < 0 || x as usize >= width {
            return;
        }
        let at = (y as usize * width + x as usize) * 3;
        if at + 3 <= rgb.len() {
            for (channel, ink) in rgb[at..at + 3].iter_mut().zip(ink) {
                *channel = (f32::from(*channel) * (1.0 - cover) + f32::from(ink) * cover).round() as u8;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_of_any_size_share_a_sheet() {
        let panels: Vec<Panel> = [(1usize, 1usize), (3000, 10), (10, 2000), (500, 400)]
            .iter()
            .map(|&(w, h)| Panel { title: "a title; 12".into(), width: w, rgb: vec![9; 3 * w * h] })
            .collect();
        let (width, rgb) = sheet(&panels);
        assert_eq!(rgb.len() % (3 * width), 0);
        assert!(rgb.contains(&9) && rgb.contains(&26) && rgb.contains(&255));
    }
}
