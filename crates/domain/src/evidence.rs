//! What a chromosome's damage or status rests on.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the text of a candidate begins on the wire.
const CANDIDATE: &str = "candidate ";

/// The text of a sex chromosome whose class is withheld.
const SEX_WITHHELD: &str = "sex chromosome, not disclosed";

/// What a chromosome's damage or unusual status rests on. On the wire it is text; here the kinds that decide something
/// are apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum ChromosomeEvidence {
    /// A structural candidate by its look, for a person to look at: `candidate `, then what it rests on.
    Candidate(String),
    /// A sex chromosome whose class is withheld by configuration.
    SexWithheld,
    /// Anything else, in words.
    Text(String),
}

impl fmt::Display for ChromosomeEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Candidate(text) => write!(f, "{CANDIDATE}{text}"),
            Self::SexWithheld => f.write_str(SEX_WITHHELD),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl From<String> for ChromosomeEvidence {
    fn from(text: String) -> Self {
        match text.strip_prefix(CANDIDATE) {
            Some(candidate) => Self::Candidate(candidate.to_owned()),
            None if text == SEX_WITHHELD => Self::SexWithheld,
            None => Self::Text(text),
        }
    }
}

impl From<&str> for ChromosomeEvidence {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<ChromosomeEvidence> for String {
    fn from(evidence: ChromosomeEvidence) -> Self {
        evidence.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_on_the_wire_is_the_text_that_was_read() {
        let candidate = ChromosomeEvidence::Candidate("ring: it encloses a hole".into());
        for (text, evidence) in [
            ("candidate ring: it encloses a hole", candidate),
            ("sex chromosome, not disclosed", ChromosomeEvidence::SexWithheld),
            ("confirmed by a person", ChromosomeEvidence::Text("confirmed by a person".into())),
        ] {
            let json = serde_json::to_string(text).unwrap();
            assert_eq!(serde_json::from_str::<ChromosomeEvidence>(&json).unwrap(), evidence);
            assert_eq!(serde_json::to_string(&evidence).unwrap(), json);
        }
    }
}
