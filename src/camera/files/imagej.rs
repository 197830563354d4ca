//! What ImageJ writes into the description of a TIFF file.

use super::ome::um_per;

/// ImageJ's description: how many pictures, and in what a pixel is measured.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ImageJ {
    /// Pictures in the file, at least 1.
    pub images: usize,
    /// Micrometres in the unit of the resolution tags; none where it is no length.
    pub um_per_unit: Option<f64>,
}

impl ImageJ {
    /// Reads `ImageJ=1.53t`, `images=2`, `unit=micron`, a line each; none when the text is something else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if !text.starts_with("ImageJ=") {
            return None;
        }
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(str::trim);
        let images = value("images").and_then(|n| n.parse().ok()).unwrap_or(1).max(1);
        Some(Self { images, um_per_unit: value("unit").and_then(um_per) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_lines_are_read() {
        let read = |text: &str| ImageJ::parse(text).expect("ImageJ's");
        assert_eq!(
            read("ImageJ=1.53t\nimages=3\nslices=3\nunit=micron\n"),
            ImageJ { images: 3, um_per_unit: Some(1.0) }
        );
        assert_eq!(read("ImageJ=1.11a\nunit=\\u00B5m").um_per_unit, Some(1.0));
        assert_eq!(read("ImageJ=1.11a\nunit=pixel"), ImageJ { images: 1, um_per_unit: None });
        assert_eq!(ImageJ::parse("a slide"), None);
    }
}
