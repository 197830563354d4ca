//! The karyogram as PNG.

use image::{ExtendedColorType, ImageEncoder, ImageError, codecs::png::PngEncoder};

use super::{
    LEGEND, bar, font, identity,
    layout::{MARGIN, Sheet},
    subtitle, title,
};
use domain::{Cell, NOTICE};

const BLACK: [u8; 3] = [26, 26, 26];
const GREY: [u8; 3] = [95, 95, 95];
const PALE: [u8; 3] = [175, 175, 175];
const FAINT: [u8; 3] = [221, 221, 221];
const RED: [u8; 3] = [176, 0, 32];

struct Canvas {
    width: usize,
    height: usize,
    zoom: f32,
    rgb: Vec<u8>,
}

pub(super) fn draw(cell: &Cell, sheet: &Sheet, zoom: u32) -> Result<Vec<u8>, ImageError> {
    let z = zoom as f32;
    let (width, height) = ((sheet.width * z).ceil() as usize, (sheet.height * z).ceil() as usize);
    let mut canvas = Canvas { width, height, zoom: z, rgb: vec![255; 3 * width * height] };
    canvas.text(title(cell), MARGIN, 14.0, 2.4, BLACK, Align::Left);
    canvas.text(&subtitle(cell, sheet), MARGIN, 40.0, 1.3, GREY, Align::Left);
    for group in &sheet.groups {
        canvas.line(group.from, group.to, group.line, 1.0, FAINT);
    }
    for slot in &sheet.slots {
        for middle in &slot.missing {
            canvas.dashed(middle - 10.0, slot.line - 20.0, 20.0, 40.0);
        }
        for placed in &slot.placed {
            let image = &placed.image;
            let (pw, ph) = (image.width as f32 * sheet.scale, image.height as f32 * sheet.scale);
            canvas.picture(placed.x, placed.y, pw, ph, image);
            let mark = if placed.doubtful { "?" } else { "" };
            let colour = if placed.doubtful { RED } else { GREY };
            let score = format!("{:.0}{mark}", 100.0 * placed.score);
            canvas.text(&score, placed.x + pw / 2.0, slot.base + 4.0, 1.0, colour, Align::Middle);
        }
        let middle = slot.x + slot.width / 2.0;
        canvas.text(&slot.label, middle, slot.base + 16.0, 1.8, if slot.marked { RED } else { BLACK }, Align::Middle);
        if slot.marked {
            canvas.ring(middle, slot.base + 22.0, 13.0);
        }
    }
    for group in &sheet.groups {
        let y = group.y + 4.0;
        canvas.line(group.from, group.to, y, 1.0, PALE);
        let middle = (group.from + group.to) / 2.0;
        canvas.line(middle - 9.0, middle + 9.0, y, 2.0, [255; 3]);
        canvas.text(group.name, middle, y - 4.5, 1.4, GREY, Align::Middle);
    }
    if let Some(length) = bar(cell, sheet) {
        let right = sheet.width - MARGIN;
        canvas.line(right - length, right, 28.0, 3.0, BLACK);
        canvas.text(&format!("{} µm", super::BAR_UM), right, 37.0, 1.3, GREY, Align::Right);
    }
    canvas.text(&format!("{NOTICE} {LEGEND}"), MARGIN, sheet.height - 33.0, 1.1, GREY, Align::Left);
    canvas.text(&identity(cell), MARGIN, sheet.height - 18.0, 1.1, GREY, Align::Left);
    let mut out = Vec::new();
    PngEncoder::new(&mut out).write_image(&canvas.rgb, width as u32, height as u32, ExtendedColorType::Rgb8)?;
    Ok(out)
}

enum Align {
    Left,
    Middle,
    Right,
}

impl Canvas {
    fn blend(&mut self, x: i64, y: i64, colour: [u8; 3], alpha: f32) {
        if x < 0 || y < 0 || x as usize >= self.width || y as usize >= self.height {
            return;
        }
        let i = 3 * (y as usize * self.width + x as usize);
        for (channel, c) in self.rgb[i..i + 3].iter_mut().zip(colour) {
            *channel = (f32::from(*channel) * (1.0 - alpha) + f32::from(c) * alpha).round() as u8;
        }
    }

    fn rectangle(&mut self, x: f32, y: f32, w: f32, h: f32, colour: [u8; 3]) {
        let z = self.zoom;
        for py in (y * z).round() as i64..((y + h) * z).round() as i64 {
            for px in (x * z).round() as i64..((x + w) * z).round() as i64 {
                self.blend(px, py, colour, 1.0);
            }
        }
    }

    fn line(&mut self, from: f32, to: f32, y: f32, thick: f32, colour: [u8; 3]) {
        self.rectangle(from, y - thick / 2.0, to - from, thick, colour);
    }

    /// `size` 1 makes capitals about 7 units high; `y` is their top.
    fn text(&mut self, text: &str, x: f32, y: f32, size: f32, colour: [u8; 3], align: Align) {
        let tall = 11.0 * size * self.zoom;
        let width = font::width(text, tall);
        let left = match align {
            Align::Left => x * self.zoom,
            Align::Middle => x * self.zoom - width / 2.0,
            Align::Right => x * self.zoom - width,
        };
        let base = (y + 7.0 * size) * self.zoom;
        font::draw(text, tall, left, base.round(), |x, y, cover| self.blend(x, y, colour, cover));
    }

    fn dashed(&mut self, x: f32, y: f32, w: f32, h: f32) {
        let mut at = 0.0;
        while at < w.max(h) {
            if at < w {
                let dash = 3.0_f32.min(w - at);
                self.rectangle(x + at, y, dash, 1.0, PALE);
                self.rectangle(x + at, y + h, dash, 1.0, PALE);
            }
            if at < h {
                let dash = 3.0_f32.min(h - at);
                self.rectangle(x, y + at, 1.0, dash, PALE);
                self.rectangle(x + w, y + at, 1.0, dash, PALE);
            }
            at += 6.0;
        }
    }

    fn ring(&mut self, x: f32, y: f32, radius: f32) {
        let z = self.zoom;
        let reach = ((radius + 2.0) * z) as i64;
        for py in -reach..=reach {
            for px in -reach..=reach {
                let off = (((px * px + py * py) as f32).sqrt() / z - radius).abs();
                if off < 1.25 {
                    self.blend((x * z) as i64 + px, (y * z) as i64 + py, RED, (1.25 - off).min(1.0));
                }
            }
        }
    }

    fn picture(&mut self, x: f32, y: f32, w: f32, h: f32, image: &super::upright::Upright) {
        let z = self.zoom;
        let (left, top) = ((x * z).round() as i64, (y * z).round() as i64);
        let (pw, ph) = ((w * z).round().max(1.0), (h * z).round().max(1.0));
        let at = |v: f32, n: usize| (v.clamp(0.0, (n - 1) as f32)) as usize;
        for py in 0..ph as i64 {
            for px in 0..pw as i64 {
                let (sx, sy) = (
                    (px as f32 + 0.5) * image.width as f32 / pw - 0.5,
                    (py as f32 + 0.5) * image.height as f32 / ph - 0.5,
                );
                let (fx, fy) = (sx.floor(), sy.floor());
                let (mut grey, mut alpha) = (0.0, 0.0);
                for (dx, dy) in [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)] {
                    let weight = (1.0 - (sx - fx - dx).abs()) * (1.0 - (sy - fy - dy).abs());
                    let (g, a) = image.at(at(fx + dx, image.width), at(fy + dy, image.height));
                    grey += weight * f32::from(g);
                    alpha += weight * f32::from(a) / 255.0;
                }
                let g = grey.round().clamp(0.0, 255.0) as u8;
                self.blend(left + px, top + py, [g, g, g], alpha.clamp(0.0, 1.0));
            }
        }
    }
}
