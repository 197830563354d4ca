//! Names of topics.

pub use crate::config::{encode_level, slide_topic};

/// Topic with the picture of the last cell, below the station's root: JPEG in base64.
pub const PICTURE_TOPIC: &str = "picture";

/// Topic of a case's state, below the station's root.
pub fn case_topic(case: &str) -> String {
    format!("case/{}", encode_level(case))
}

/// Topic of a case's dose, below the station's root.
pub fn dose_topic(case: &str) -> String {
    format!("dose/{}", encode_level(case))
}

/// Topics of one station.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    root: String,
}

impl Topics {
    /// Below `<prefix>/<station>/`.
    pub fn new(prefix: &str, station: &str) -> Self {
        Self { root: format!("{prefix}/{station}/") }
    }

    /// A topic below the root.
    pub fn of(&self, topic: &str) -> String {
        format!("{}{topic}", self.root)
    }

    /// The part of a topic below the root, none for a foreign one.
    pub fn below<'t>(&self, topic: &'t str) -> Option<&'t str> {
        topic.strip_prefix(&self.root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_case_is_one_level_whatever_its_name() {
        assert_eq!(case_topic("K-17.b_2"), "case/K-17.b_2");
        assert_eq!(case_topic("a/b #+ä"), "case/a%2Fb%20%23%2B%C3%A4");
        assert_eq!(Topics::new("metaphased", "lab-1").of(&dose_topic("7")), "metaphased/lab-1/dose/7");
    }

    proptest! {
        #[test]
        fn every_name_reads_back(name: String) {
            let level = encode_level(&name);
            prop_assert!(level.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-%".contains(&b)));
            let back = percent_encoding::percent_decode_str(&level).decode_utf8().unwrap().into_owned();
            prop_assert_eq!(back, name);
        }
    }
}
