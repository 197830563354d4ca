//! Names that people and programs give: cases, slides, persons, event ids. They travel in topics, messages and logs.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but `[A-Za-z0-9._-]` is percent-encoded.
const LEVEL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');

/// Longest name in characters.
pub const MAX_NAME: usize = 200;

/// Whether `text` can be a name: 1 to [`MAX_NAME`] characters that are not all blank, and no control character.
///
/// # Errors
/// What was found instead, in words.
pub fn check_name(text: &str) -> Result<(), String> {
    let length = text.chars().count();
    if text.trim().is_empty() {
        Err("it is empty".into())
    } else if length > MAX_NAME {
        Err(format!("found {length} characters"))
    } else if text.chars().any(char::is_control) {
        Err("it has a control character".into())
    } else {
        Ok(())
    }
}

/// A case or slide as one level of a topic, one part of a URL or a file name: percent-encoded outside
/// `[A-Za-z0-9._-]`.
pub fn encode_level(name: &str) -> String {
    utf8_percent_encode(name, LEVEL).to_string()
}

/// Topic of the metaphases of a slide, below the station's root.
pub fn slide_topic(slide: &str) -> String {
    format!("slide/{}", encode_level(slide))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_printable() {
        for right in ["K-17", "Müller, A.", "a/b#c", &"ä".repeat(MAX_NAME)] {
            assert_eq!(check_name(right), Ok(()), "{right}");
        }
        for wrong in ["", "  ", "a\0b", "a\nb", "\u{9b}31m", &"x".repeat(MAX_NAME + 1)] {
            assert!(check_name(wrong).is_err(), "{wrong:?}");
        }
    }
}
