//! What Micro-Manager writes beside each page of its TIFF files (MMStack and NDTiff): one JSON object.

use domain::StagePosition;
use serde_json::Value;

use super::PageFacts;

/// The page's facts; empty without its JSON.
pub(super) fn facts(text: Option<&str>) -> PageFacts {
    let Some(Value::Object(page)) = text.and_then(|text| serde_json::from_str(text).ok()) else {
        return PageFacts::default();
    };
    let number = |key: &str| page.get(key).and_then(Value::as_f64).filter(|v| v.is_finite());
    let stage_um = match (number("XPositionUm"), number("YPositionUm")) {
        (Some(x), Some(y)) => Some(StagePosition { x, y, z: number("ZPositionUm") }),
        _ => None,
    };
    PageFacts {
        um_per_px: number("PixelSizeUm").filter(|um| *um > 0.0),
        stage_um,
        channel: page.get("Channel").and_then(Value::as_str).filter(|name| !name.is_empty()).map(str::to_owned),
        declared_bits: page.get("BitDepth").and_then(Value::as_u64).and_then(|bits| u8::try_from(bits).ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_brings_its_place_scale_and_depth() {
        let text = r#"{"XPositionUm": 1200.5, "YPositionUm": -3, "ZPositionUm": 7, "PixelSizeUm": 0.0645, "BitDepth": 12,
            "Channel": "Default", "FrameIndex": 0}"#;
        let facts = facts(Some(text));
        assert_eq!(facts.stage_um.map(|s| (s.x, s.y, s.z)), Some((1200.5, -3.0, Some(7.0))));
        assert_eq!((facts.um_per_px, facts.declared_bits), (Some(0.0645), Some(12)));
    }

    #[test]
    fn a_page_without_a_scale_or_a_stage_has_none() {
        let facts = facts(Some(r#"{"PixelSizeUm": 0, "XPositionUm": 5}"#));
        assert_eq!((facts.um_per_px, facts.stage_um), (None, None));
    }
}
