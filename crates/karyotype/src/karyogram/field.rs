//! The field of a cell with its chromosomes outlined, as SVG.

use std::fmt::Write;

use super::svg::base64;
use domain::{Cell, Chromosome, NOTICE, Outline, Point};
use quick_xml::escape::escape;

const STYLE: &str = ".outline{fill:none;stroke:#1565c0}.unsure{stroke-dasharray:4 2}.flagged{stroke:#b00020}.axis{fill:none;stroke:#e69100}\
    .centromere{fill:#b00020}text{font-family:system-ui,sans-serif;font-weight:600;fill:#123a86;text-anchor:middle}";

/// The part of a frame that holds a cell, `png`, beneath the outlines of its chromosomes with their classes, middle lines (a dot at the short
/// arm's tip) and centromeres. `corner` is the place of the picture's first pixel in the frame, `size` its width and height. Unsure outlines are
/// dashed; a chromosome without outline has its box. Each group can be switched off by its `data-layer`: `outlines`, `axes`, `classes`.
pub fn field_svg(cell: &Cell, png: &[u8], corner: [u32; 2], size: [u32; 2]) -> String {
    let ([left, top], [width, height]) = (corner, size);
    let thin = (width.max(height) as f32 / 900.0).max(0.5);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"{left} {top} {width} {height}\" width=\"{}\" height=\"{}\" role=\"img\">\
         <title>{}</title><style>{STYLE}</style>\
         <image x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" href=\"data:image/png;base64,{}\"/>",
        2 * width,
        2 * height,
        escape(NOTICE),
        base64(png),
    );
    let _ = write!(out, "<g data-layer=\"outlines\" stroke-width=\"{thin:.2}\">");
    for c in &cell.chromosomes {
        let flagged = cell.karyotype.findings.iter().any(|f| f.chromosomes.contains(&c.index));
        let unsure = !c.outline.as_ref().is_some_and(Outline::is_sure);
        let marks = format!("{}{}", if unsure { " unsure" } else { "" }, if flagged { " flagged" } else { "" });
        let _ = write!(out, "<path class=\"outline{marks}\" data-index=\"{}\" d=\"{}\"/>", c.index, outline(c));
    }
    let _ = write!(out, "</g><g data-layer=\"axes\" stroke-width=\"{:.2}\">", thin / 2.0);
    for c in &cell.chromosomes {
        if let Some([x, y]) = c.axis.first() {
            let _ = write!(out, "<path class=\"axis\" d=\"{}\"/>", line(&c.axis));
            let _ = write!(out, "<circle fill=\"#e69100\" cx=\"{x}\" cy=\"{y}\" r=\"{:.2}\"/>", 1.5 * thin);
        }
        for spot in &c.centromeres {
            let [x, y] = spot.at;
            let _ = write!(out, "<circle class=\"centromere\" cx=\"{x}\" cy=\"{y}\" r=\"{:.2}\"/>", 2.0 * thin);
        }
    }
    let _ = write!(out, "</g><g data-layer=\"classes\" font-size=\"{:.1}\">", 12.0 * thin);
    for c in &cell.chromosomes {
        let Some(class) = c.class else { continue };
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\">{class}</text>",
            c.bounds.x + c.bounds.width / 2.0,
            c.bounds.y - 1.0
        );
    }
    out.push_str("</g></svg>");
    out
}

fn outline(c: &Chromosome) -> String {
    match &c.outline {
        Some(outline) => outline.rings.iter().map(|ring| line(ring) + "Z").collect(),
        None => {
            let b = &c.bounds;
            format!("M{:.1} {:.1}h{:.1}v{:.1}h{:.1}Z", b.x, b.y, b.width, b.height, -b.width)
        }
    }
}

fn line(points: &[Point]) -> String {
    points.iter().enumerate().map(|(i, [x, y])| format!("{}{x} {y}", if i == 0 { "M" } else { "L" })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::cell_with;
    use domain::{Centromere, FoundBy};

    #[test]
    fn every_chromosome_is_outlined_once_and_the_document_is_well_formed() {
        let mut cell = cell_with(&[]);
        let ring = vec![[0.0, 0.0], [8.0, 0.0], [8.0, 20.0]];
        cell.chromosomes[3].outline = Some(Outline { source: FoundBy::Network, score: 0.95, rings: vec![ring] });
        cell.chromosomes[3].axis = vec![[4.0, 0.0], [4.0, 20.0]];
        cell.chromosomes[3].centromeres = vec![Centromere { at: [4.0, 8.5], score: 0.9, source: FoundBy::Network }];
        let svg = field_svg(&cell, b"png", [10, 20], [400, 300]);
        assert_eq!((svg.matches("data-index=").count(), svg.matches(" unsure").count()), (46, 45));
        assert!(
            svg.contains("M0 0L8 0L8 20Z") && svg.contains("cy=\"8.5\"") && svg.contains("viewBox=\"10 20 400 300\"")
        );
        let mut reader = quick_xml::Reader::from_str(&svg);
        while reader.read_event().expect("well-formed") != quick_xml::events::Event::Eof {}
    }
}
