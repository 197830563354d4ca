//! What a person at the microscope could improve, judged from the frame.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::preview::FrameExposure;
use domain::Quality;

/// What a hint is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HintKind {
    /// White pixels without detail.
    Saturation,
    /// Too little or too much light.
    Exposure,
    /// Sharpness.
    Focus,
}

/// One hint: what is seen and what helps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hint {
    /// What it is about.
    pub kind: HintKind,
    /// The code of the words: `saturated`, `dark`, `faint` or `soft`.
    pub code: String,
    /// The share of the picture, or of its range, that stands in the words; 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f32>,
    /// What is seen and what to do, in words.
    pub text: String,
}

/// Sharpness below which a person should turn the fine focus; the scale is that of triage.
const SOFT: f32 = 0.35;

/// The hints for a frame, worst first. Rules of thumb, not measurements: bright field wants its background at about
/// 60 to 95 % of the range and hardly a white pixel; fluorescence wants its brightest percent above a quarter of the
/// range and no saturated chromosome.
pub fn hints(quality: &Quality, exposure: &FrameExposure, bright_field: bool) -> Vec<Hint> {
    let mut hints = Vec::new();
    let mut hint =
        |kind, code: &str, share, text: String| hints.push(Hint { kind, code: code.to_owned(), share, text });
    let percent = |share: f32| (share * 100.0).round().max(1.0);
    // A glass-white background costs nothing as long as it is only just at the top; dark-field white is a chromosome.
    let allowed = if bright_field { 0.05 } else { 0.001 };
    if exposure.saturated > allowed {
        let text = format!(
            "Too bright: {} % of the picture is pure white. Less light or exposure.",
            percent(exposure.saturated)
        );
        hint(HintKind::Saturation, "saturated", Some(exposure.saturated), text);
    } else if bright_field && exposure.median < 0.4 {
        let text =
            format!("Dark: the background is at {} % of the range. More light or exposure.", percent(exposure.median));
        hint(HintKind::Exposure, "dark", Some(exposure.median), text);
    } else if !bright_field && exposure.high < 0.15 {
        let text =
            format!("Faint: the brightest parts reach {} % of the range. Longer exposure.", percent(exposure.high));
        hint(HintKind::Exposure, "faint", Some(exposure.high), text);
    }
    // An empty field has nothing to focus on.
    if quality.focus < SOFT && quality.metaphase >= 0.5 {
        hint(HintKind::Focus, "soft", None, "Soft: turn the fine focus.".to_owned());
    }
    hints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(quality: Quality, exposure: FrameExposure, bright_field: bool) -> Vec<HintKind> {
        hints(&quality, &exposure, bright_field).into_iter().map(|h| h.kind).collect()
    }

    const SHARP: Quality = Quality { focus: 0.8, metaphase: 0.9, spread: 0.8 };
    const GOOD: FrameExposure = FrameExposure { saturated: 0.0, black: 0.0, low: 0.2, median: 0.8, high: 0.9 };

    #[test]
    fn a_good_frame_gives_no_hint() {
        assert_eq!(kinds(SHARP, GOOD, true), []);
    }

    #[test]
    fn white_and_dark_and_soft_give_a_hint() {
        assert_eq!(kinds(SHARP, FrameExposure { saturated: 0.2, ..GOOD }, true), [HintKind::Saturation]);
        assert_eq!(kinds(SHARP, FrameExposure { median: 0.2, ..GOOD }, true), [HintKind::Exposure]);
        assert_eq!(kinds(Quality { focus: 0.1, ..SHARP }, GOOD, true), [HintKind::Focus]);
    }

    #[test]
    fn an_empty_field_is_not_called_soft() {
        assert_eq!(kinds(Quality { focus: 0.1, metaphase: 0.1, spread: 0.0 }, GOOD, true), []);
    }

    #[test]
    fn a_dark_background_is_right_for_fluorescence() {
        let dapi = FrameExposure { saturated: 0.0, black: 0.1, low: 0.0, median: 0.05, high: 0.6 };
        assert_eq!(kinds(SHARP, dapi, false), []);
        assert_eq!(kinds(SHARP, FrameExposure { saturated: 0.01, ..dapi }, false), [HintKind::Saturation]);
    }
}
