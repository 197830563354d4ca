//! Boxes and outlines drawn on a picture, for contact sheets and for eyes.

use super::plane::{GrayView, Rect};

/// A grey picture as interleaved RGB, 3 bytes a pixel.
pub fn to_rgb(input: GrayView<'_>) -> Vec<u8> {
    input.data().iter().flat_map(|&v| [v, v, v]).collect()
}

/// Draws the outline of a box one pixel wide; parts outside are left out.
pub fn draw_box(rgb: &mut [u8], width: usize, bounds: Rect, colour: [u8; 3]) {
    let height = rgb.len() / 3 / width.max(1);
    let mut dot = |x: usize, y: usize| {
        if x < width && y < height {
            rgb[(y * width + x) * 3..][..3].copy_from_slice(&colour);
        }
    };
    for x in bounds.left..bounds.right {
        dot(x, bounds.top);
        dot(x, bounds.bottom.saturating_sub(1));
    }
    for y in bounds.top..bounds.bottom {
        dot(bounds.left, y);
        dot(bounds.right.saturating_sub(1), y);
    }
}

/// Draws the border pixels of a mask (zeros and ones over `bounds`).
pub fn draw_mask_outline(rgb: &mut [u8], width: usize, bounds: Rect, mask: &[u8], colour: [u8; 3]) {
    let (w, h) = (bounds.width(), bounds.height());
    let inside = |x: isize, y: isize| {
        x >= 0 && y >= 0 && (x as usize) < w && (y as usize) < h && mask[y as usize * w + x as usize] != 0
    };
    for y in 0..h as isize {
        for x in 0..w as isize {
            if inside(x, y) && !(inside(x - 1, y) && inside(x + 1, y) && inside(x, y - 1) && inside(x, y + 1)) {
                let at = ((bounds.top + y as usize) * width + bounds.left + x as usize) * 3;
                if let Some(pixel) = rgb.get_mut(at..at + 3) {
                    pixel.copy_from_slice(&colour);
                }
            }
        }
    }
}
