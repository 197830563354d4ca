//! The karyogram as SVG.

use std::fmt::Write;

use super::{
    LEGEND, bar, identity,
    layout::{MARGIN, Sheet},
    subtitle, title,
    upright::Upright,
};
use domain::{Cell, NOTICE};
use quick_xml::escape::escape;

const STYLE: &str = "text{font-family:system-ui,sans-serif;fill:#1a1a1a}.class{font-size:15px;font-weight:600;text-anchor:middle}\
    .score{font-size:9px;fill:#555;text-anchor:middle}.doubt{fill:#9a3b00;font-weight:600}.group{font-size:13px;fill:#666}\
    .marked{fill:#b00020}.title{font-size:22px;font-weight:600}.small{font-size:12px;fill:#555}";

pub(super) fn draw(cell: &Cell, sheet: &Sheet) -> String {
    let (w, h) = (sheet.width.ceil(), sheet.height.ceil());
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" role=\"img\">\
         <title>Karyogram {title}</title><style>{STYLE}</style><rect width=\"{w}\" height=\"{h}\" fill=\"#fff\"/>\
         <text class=\"title\" x=\"{MARGIN}\" y=\"30\">{title}</text><text class=\"small\" x=\"{MARGIN}\" y=\"49\">{sub}</text>",
        title = escape(title(cell)),
        sub = escape(subtitle(cell, sheet)),
    );
    for group in &sheet.groups {
        let _ = write!(out, "<path d=\"M{:.1} {:.1}H{:.1}\" stroke=\"#ddd\"/>", group.from, group.line, group.to);
    }
    for slot in &sheet.slots {
        let class = slot.class.map_or(String::new(), |c| format!(" data-class=\"{c}\""));
        let _ = write!(out, "<g class=\"slot\"{class}>");
        for middle in &slot.missing {
            let _ = write!(
                out,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"20\" height=\"40\" rx=\"9\" fill=\"none\" stroke=\"#999\" \
                 stroke-dasharray=\"3 3\"/>",
                middle - 10.0,
                slot.line - 20.0
            );
        }
        for placed in &slot.placed {
            let (pw, ph) = (placed.image.width as f32 * sheet.scale, placed.image.height as f32 * sheet.scale);
            let doubt = if placed.doubtful { " doubt" } else { "" };
            let mark = if placed.doubtful { "?" } else { "" };
            let _ = write!(
                out,
                "<g class=\"chromosome\" data-index=\"{}\"><image x=\"{:.1}\" y=\"{:.1}\" width=\"{pw:.1}\" \
                 height=\"{ph:.1}\" href=\"data:image/png;base64,{}\"/>\
                 <text class=\"score{doubt}\" x=\"{:.1}\" y=\"{:.1}\">{:.0}{mark}</text></g>",
                placed.index,
                placed.x,
                placed.y,
                base64(&png(&placed.image)),
                placed.x + pw / 2.0,
                slot.base + 11.0,
                100.0 * placed.score,
            );
        }
        let marked = if slot.marked { " marked" } else { "" };
        let (middle, y) = (slot.x + slot.width / 2.0, slot.base + 28.0);
        let _ =
            write!(out, "<text class=\"class{marked}\" x=\"{middle:.1}\" y=\"{y:.1}\">{}</text>", escape(&slot.label));
        if slot.marked {
            // Not by colour alone.
            let _ = write!(
                out,
                "<circle cx=\"{middle:.1}\" cy=\"{:.1}\" r=\"13\" fill=\"none\" stroke=\"#b00020\" stroke-width=\"1.5\"/>",
                y - 5.0
            );
        }
        out.push_str("</g>");
    }
    for group in &sheet.groups {
        let (y, middle) = (group.y + 4.0, (group.from + group.to) / 2.0);
        let _ = write!(
            out,
            "<path d=\"M{:.1} {y:.1}H{:.1}\" stroke=\"#bbb\"/><rect x=\"{:.1}\" y=\"{:.1}\" width=\"18\" height=\"14\" \
             fill=\"#fff\"/><text class=\"group\" text-anchor=\"middle\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text>",
            group.from,
            group.to,
            middle - 9.0,
            y - 7.0,
            y + 5.0,
            group.name,
        );
    }
    if let Some(length) = bar(cell, sheet) {
        let (right, y) = (sheet.width - MARGIN, 30.0);
        let _ = write!(
            out,
            "<path d=\"M{:.1} {y}H{right:.1}\" stroke=\"#000\" stroke-width=\"3\"/>\
             <text class=\"small\" text-anchor=\"end\" x=\"{right:.1}\" y=\"47\">{} µm</text>",
            right - length,
            super::BAR_UM
        );
    }
    let _ = write!(
        out,
        "<text class=\"small\" x=\"{MARGIN}\" y=\"{:.1}\">{NOTICE} {LEGEND}</text>\
         <text class=\"small\" x=\"{MARGIN}\" y=\"{:.1}\">{}</text></svg>",
        h - 25.0,
        h - 10.0,
        escape(identity(cell)),
    );
    out
}

fn png(image: &Upright) -> Vec<u8> {
    use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
    let mut out = Vec::new();
    // Writing to memory fails only for a wrong size, which the layout cannot make.
    let _ = PngEncoder::new(&mut out).write_image(
        &image.samples,
        image.width as u32,
        image.height as u32,
        ExtendedColorType::La8,
    );
    out
}

/// Base64 with padding (RFC 4648).
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, b| word << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let sextet = (word >> (18 - 6 * i)) & 63;
            out.push(if i <= chunk.len() { char::from(ALPHABET[sextet as usize]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_is_that_of_the_rfc() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(super::base64(plain.as_bytes()), coded);
        }
    }
}
