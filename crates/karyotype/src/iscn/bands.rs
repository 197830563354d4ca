//! Which bands exist, and in which order they lie.

use domain::ChromosomeClass;

use super::model::Arm;

/// One line a chromosome: its name, then all bands of the 400, 550 and 850 band levels from pter to qter (a
/// band before its own sub-bands). From NCBI's ideogram of GRCh38 (CC0 copy in eweitz/ideogram).
const TABLE: &str = include_str!("bands.txt");

fn bands(class: ChromosomeClass) -> impl Iterator<Item = &'static str> {
    TABLE.lines().nth(class.index()).unwrap_or_default().split(' ').skip(1)
}

/// True when `wanted` (without arm letter) is the band, or stands for its sub-bands.
fn stands_for(wanted: &str, band: &str) -> bool {
    band.strip_prefix(wanted).is_some_and(|rest| {
        rest.is_empty() || rest.starts_with('.') || (wanted.contains('.') && !wanted.ends_with('.'))
    })
}

/// Place of a band along its chromosome, counted from pter; none when there is no such band at the 400, 550 or
/// 850 level. `10` is the centromere's side of the arm, `ter` the arm's end.
pub fn place(class: ChromosomeClass, arm: Arm, band: &str) -> Option<f32> {
    let count = bands(class).count() as f32;
    let first_q = bands(class).position(|b| b.starts_with('q'))? as f32;
    match (arm, band) {
        (Arm::Short, "ter") => return Some(-1.0),
        (Arm::Long, "ter") => return Some(count),
        (Arm::Short, "10") => return Some(first_q - 0.6),
        (Arm::Long, "10") => return Some(first_q - 0.4),
        _ => {}
    }
    bands(class).position(|b| b.starts_with(arm.letter()) && stands_for(band, &b[1..])).map(|p| p as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exists(chromosome: &str, arm: Arm, band: &str) -> bool {
        place(chromosome.parse().unwrap(), arm, band).is_some()
    }

    #[test]
    fn bands_exist_at_any_of_the_three_levels_and_as_names_of_their_sub_bands() {
        assert!(exists("5", Arm::Short, "15.2"));
        assert!(exists("22", Arm::Long, "11.2"));
        assert!(exists("9", Arm::Long, "34"));
        assert!(exists("16", Arm::Short, "13.3"));
        assert!(exists("X", Arm::Long, "27.3"));
        assert!(!exists("9", Arm::Long, "11.2"));
        assert!(!exists("2", Arm::Short, "31"));
        assert!(!exists("5", Arm::Short, "99"));
        assert!(!exists("5", Arm::Long, "1"));
    }

    #[test]
    fn bands_run_from_pter_to_qter() {
        let five: ChromosomeClass = "5".parse().unwrap();
        let at = |arm, band| place(five, arm, band).unwrap();
        let along = [
            at(Arm::Short, "ter"),
            at(Arm::Short, "15"),
            at(Arm::Short, "13"),
            at(Arm::Short, "10"),
            at(Arm::Long, "10"),
            at(Arm::Long, "13"),
            at(Arm::Long, "33"),
            at(Arm::Long, "ter"),
        ];
        assert!(along.windows(2).all(|w| w[0] < w[1]), "{along:?}");
    }
}
