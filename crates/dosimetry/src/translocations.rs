//! Painted translocations: what share of the genome is seen, and how many were there before.

use super::DosimetryError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Sex of a person, for the DNA in a set of chromosomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GenomeSex {
    /// XX.
    Female,
    /// XY.
    Male,
}

/// DNA of chromosomes 1 to 22, X and Y in megabases (Morton 1991).
const DNA: [f64; 24] = [
    263.0, 255.0, 214.0, 203.0, 194.0, 183.0, 171.0, 155.0, 145.0, 144.0, 144.0, 143.0, 114.0, 109.0, 106.0, 98.0,
    92.0, 85.0, 67.0, 72.0, 50.0, 56.0, 164.0, 59.0,
];

/// `2/0.974`, the constant of Lucas et al. (1992): 0.974 is one less the squared shares of the chromosomes.
pub const LUCAS: f64 = 2.0 / 0.974;

/// Index of a chromosome named `1` to `22`, `X` or `Y`.
fn index(name: &str) -> Option<usize> {
    match name.trim() {
        "X" | "x" => Some(22),
        "Y" | "y" => Some(23),
        number => number.parse::<usize>().ok().filter(|n| (1..=22).contains(n)).map(|n| n - 1),
    }
}

/// Share of all translocations that painting shows: `2/0.974 [sum f_i (1 - f_i) - sum_(i<j) f_i f_j]` over the
/// colours (Lucas et al. 1992), `f_i` the share of DNA in colour i by sex. Colours are lists such as `["1", "4", "11"]`.
pub fn genome_factor<C: AsRef<[S]>, S: AsRef<str>>(sex: GenomeSex, colours: &[C]) -> Result<f64, DosimetryError> {
    let copies = |i: usize| match (sex, i) {
        (_, 0..=21) | (GenomeSex::Female, 22) => 2.0,
        (GenomeSex::Male, _) => 1.0,
        (GenomeSex::Female, _) => 0.0,
    };
    let all: f64 = (0..24).map(|i| DNA[i] * copies(i)).sum();
    let mut seen = [false; 24];
    let mut shares = Vec::new();
    for colour in colours {
        let mut share = 0.0;
        for name in colour.as_ref() {
            let name = name.as_ref();
            let i = index(name).ok_or_else(|| {
                DosimetryError::NotApplicable(format!("invalid chromosome '{name}': expected 1 to 22, X or Y"))
            })?;
            if std::mem::replace(&mut seen[i], true) {
                return Err(DosimetryError::NotApplicable(format!(
                    "chromosome {name} is painted twice: one in two colours is a third colour"
                )));
            }
            share += DNA[i] * copies(i) / all;
        }
        shares.push(share);
    }
    let own: f64 = shares.iter().map(|f| f * (1.0 - f)).sum();
    let mut between = 0.0;
    for (i, a) in shares.iter().enumerate() {
        between += shares[i + 1..].iter().map(|b| a * b).sum::<f64>();
    }
    let factor = LUCAS * (own - between);
    if factor > 0.0 && factor <= 1.0 {
        Ok(factor)
    } else {
        Err(DosimetryError::NotApplicable(format!(
            "painting shows a share of {factor:.3} of the genome: give at least one painted chromosome, not all"
        )))
    }
}

/// Who the translocations before the exposure are estimated for (Sigurdson et al. 2008).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Person {
    /// Age in years, 0 to 120.
    pub age: f64,
    /// Product of the modifiers (1 for the reference group).
    pub modifier: f64,
}

/// Modifiers of the translocation rate by group (Sigurdson et al. 2008), to be multiplied.
const SIGURDSON_MODIFIERS: [(&str, f64); 11] = [
    ("female", 0.92),
    ("smoker", 1.19),
    ("asian", 1.23),
    ("black", 0.84),
    ("other-race", 1.06),
    ("western-europe", 0.99),
    ("central-europe", 1.75),
    ("eastern-europe", 1.75),
    ("asia", 0.86),
    ("male", 1.0),
    ("non-smoker", 1.0),
];

/// The modifier of that name.
pub fn sigurdson_modifier(name: &str) -> Option<f64> {
    SIGURDSON_MODIFIERS.into_iter().find(|(n, _)| *n == name).map(|(_, v)| v)
}

/// Translocations per cell of the full genome in an unexposed person:
/// `exp(-7.925) + exp(-9.284) age exp(0.01062 age)`, times the modifiers.
pub fn translocation_rate(person: Person) -> Result<f64, DosimetryError> {
    if !(0.0..=120.0).contains(&person.age) {
        return Err(DosimetryError::Quantity { what: "age in years", found: person.age, allowed: "0 to 120" });
    }
    if !(0.1..=10.0).contains(&person.modifier) {
        return Err(DosimetryError::Quantity {
            what: "modifier of the translocation rate",
            found: person.modifier,
            allowed: "0.1 to 10",
        });
    }
    let age = person.age;
    Ok(((-7.925f64).exp() + (-9.284f64).exp() * age * (0.01062 * age).exp()) * person.modifier)
}

/// Translocations expected in `cells` cells without the exposure: `N factor rate`.
pub fn expected_translocations(cells: u64, genome_factor: f64, rate: f64) -> f64 {
    cells as f64 * genome_factor * rate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_colours_see_more_of_the_genome_than_one() {
        let two = genome_factor(GenomeSex::Male, &[vec!["1", "2", "4"], vec!["3", "5", "6"]]).expect("factor");
        assert!((two - 0.584_734_257_571).abs() < 1e-10, "{two}");
        let one = genome_factor(GenomeSex::Female, &[vec!["1", "4", "11"]]).expect("factor");
        assert!((one - 0.314_779_662_667).abs() < 1e-10, "{one}");
    }

    #[test]
    fn a_painted_y_in_a_woman_and_unknown_names_are_refused() {
        assert!(genome_factor(GenomeSex::Female, &[vec!["Y"]]).is_err());
        assert!(genome_factor(GenomeSex::Male, &[vec!["23"]]).is_err());
        assert!(genome_factor(GenomeSex::Male, &[vec!["1"], vec!["1"]]).is_err());
        assert!(genome_factor::<Vec<&str>, &str>(GenomeSex::Male, &[]).is_err());
    }

    #[test]
    fn the_rate_rises_with_age() {
        let rate = |age| translocation_rate(Person { age, modifier: 1.0 }).expect("rate");
        assert!((rate(50.0) - 0.008_260_922_5).abs() < 1e-9);
        assert!(translocation_rate(Person { age: -1.0, modifier: 1.0 }).is_err());
    }
}
