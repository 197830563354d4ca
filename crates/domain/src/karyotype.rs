//! What a cell's chromosomes say together: findings and a verdict.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ChromosomeClass, Said, SaidValues};

/// The verdict over one cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing unlike a normal karyotype was seen.
    Normal,
    /// At least one finding.
    Abnormal,
    /// No statement can be made; the reason says why.
    #[default]
    NotAssessable,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Normal, Self::Abnormal, Self::NotAssessable];

    /// As written in messages, files and the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Abnormal => "abnormal",
            Self::NotAssessable => "not_assessable",
        }
    }

    /// As people read it.
    pub fn words(self) -> &'static str {
        match self {
            Self::NotAssessable => "not assessable",
            Self::Normal | Self::Abnormal => self.name(),
        }
    }
}

/// What kind of finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// More chromosomes of a class than expected.
    Gain,
    /// Fewer chromosomes of a class than expected.
    Loss,
    /// The number of whole sets differs.
    Ploidy,
    /// Structure unlike the class: a candidate.
    Structural,
    /// Damage by radiation or other clastogens.
    Damage,
}

/// One finding on a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Kind of finding.
    pub kind: FindingKind,
    /// Class concerned, where there is one.
    pub class: Option<ChromosomeClass>,
    /// In ISCN form (`+21`, `-X`, `+mar`), where there is one.
    pub iscn: Option<String>,
    /// Probability of the finding, 0 to 1.
    pub posterior: f32,
    /// In words, with the evidence.
    pub text: String,
    /// Indices of the chromosomes concerned.
    pub chromosomes: Vec<u32>,
    /// Common name of the syndrome that goes with the finding, as a label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syndrome: Option<String>,
}

/// The karyotype of one cell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Karyotype {
    /// ISCN string, where one can be given.
    pub iscn: Option<String>,
    /// Posterior of the whole karyotype, 0 to 1.
    pub posterior: Option<f32>,
    /// Verdict over the cell.
    pub verdict: Verdict,
    /// Why, in words.
    pub reason: String,
    /// The code of these words; none where no code says the same, as before this field was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
    /// The values in these words.
    #[serde(default, skip_serializing_if = "SaidValues::is_empty")]
    pub reason_values: SaidValues,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Karyotype {
    /// Nothing can be said, for this reason.
    pub fn unknown(reason: Said) -> Self {
        let mut karyotype = Self::default();
        karyotype.explain(reason);
        karyotype
    }

    /// Enters why the verdict is what it is.
    pub fn explain(&mut self, reason: Said) {
        self.reason = reason.text;
        self.reason_code = Some(reason.code.to_owned());
        self.reason_values = reason.values;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_named_as_in_the_message() {
        for verdict in Verdict::ALL {
            assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.name());
        }
    }
}
