//! Letters for pictures: DejaVu Sans, cut down to the signs that drawings need, drawn smooth.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, PxScale, ScaleFont};

/// The font file (licence beside it), for other drawings of the program as well: none needs a font of the machine.
pub const FILE: &[u8] = include_bytes!("font/DejaVuSans-subset.ttf");

static FONT: LazyLock<FontRef<'static>> =
    LazyLock::new(|| FontRef::try_from_slice(FILE).expect("the font in the source tree is whole"));

/// Width of a line of text in pixels; `size` is its height from the highest to the lowest letter.
pub fn width(text: &str, size: f32) -> f32 {
    let font = FONT.as_scaled(PxScale::from(size));
    let mut before = None;
    text.chars()
        .map(|c| {
            let id = font.glyph_id(c);
            let kern = before.replace(id).map_or(0.0, |b| font.kern(b, id));
            kern + font.h_advance(id)
        })
        .sum()
}

/// Hands every pixel of a line of text to `plot` with how much of it is covered, 0 to 1. `left` and `base` are where the
/// first letter begins and what the letters stand on.
pub fn draw(text: &str, size: f32, left: f32, base: f32, mut plot: impl FnMut(i64, i64, f32)) {
    let font = FONT.as_scaled(PxScale::from(size));
    let (mut x, mut before) = (left, None);
    for c in text.chars() {
        let id = font.glyph_id(c);
        x += before.replace(id).map_or(0.0, |b| font.kern(b, id));
        let glyph = id.with_scale_and_position(PxScale::from(size), ab_glyph::point(x, base));
        if let Some(outline) = font.outline_glyph(glyph) {
            let bounds = outline.px_bounds();
            let (x0, y0) = (bounds.min.x as i64, bounds.min.y as i64);
            outline.draw(|dx, dy, cover| plot(x0 + i64::from(dx), y0 + i64::from(dy), cover.clamp(0.0, 1.0)));
        }
        x += font.h_advance(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_text_covers_what_its_width_says() {
        let (mut left, mut right, mut ink) = (f32::MAX, f32::MIN, 0.0);
        let text = "46,XX,t(9;22)(q34;q11.2) µ";
        draw(text, 20.0, 5.0, 30.0, |x, y, cover| {
            assert!((8..40).contains(&y), "{y}");
            if cover > 0.1 {
                (left, right) = (left.min(x as f32), right.max(x as f32));
                ink += cover;
            }
        });
        assert!(left >= 4.0 && (right - left - width(text, 20.0)).abs() < 6.0 && ink > 300.0, "{left} {right} {ink}");
        assert!(width("mm", 20.0) > width("ii", 20.0));
    }
}
