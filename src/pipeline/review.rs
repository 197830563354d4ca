//! A person's correction of a cell: pure.

use crate::{
    cell::{Cell, ChromosomeClass, Review},
    dicentric::Pieces,
    karyotype::{KaryotypeSettings, recount},
    station::{CommandError, ReviewAction},
};

/// The cell after a correction, at its next revision, and what changed in words. `time` is RFC 3339.
///
/// # Errors
/// When the correction names what is not there.
pub fn reviewed(
    cell: &Cell,
    by: &str,
    change: &ReviewAction,
    settings: &KaryotypeSettings,
    time: &str,
) -> Result<Cell, CommandError> {
    if by.trim().is_empty() {
        return Err(CommandError::Refused("say who reviews (`by`)".into()));
    }
    let mut next = cell.clone();
    let place = |index: u32| {
        cell.chromosomes
            .iter()
            .position(|c| c.index == index)
            .ok_or_else(|| CommandError::NotFound(format!("cell {} has no chromosome {index}", cell.cell)))
    };
    let words = match change {
        ReviewAction::Class { index, class } => {
            let at = place(*index)?;
            let before = std::mem::replace(&mut next.chromosomes[at].class, *class);
            next.chromosomes[at].score = 1.0;
            next.chromosomes[at].evidence = Some("as a person saw it".into());
            if next.dicentric.is_none() {
                recount(&mut next, settings);
            }
            format!("chromosome {index}: {} instead of {}", named(*class), named(before))
        }
        ReviewAction::Damage { index, damage } => {
            let at = place(*index)?;
            let before = std::mem::replace(&mut next.chromosomes[at].damage, *damage);
            if let Some(record) = &next.dicentric {
                let pieces = Pieces::of(&next.chromosomes);
                next.dicentric = Some(pieces.record(record.accepted_centromeres, record.first_division, "review"));
            } else {
                recount(&mut next, settings);
            }
            let (now, before) = (word(damage), word(&before));
            format!("chromosome {index}: damage {now} instead of {before}")
        }
        ReviewAction::Verdict { verdict } => {
            let before = std::mem::replace(&mut next.karyotype.verdict, *verdict);
            next.karyotype.reason = format!("set by {}", by.trim());
            format!("verdict {} instead of {}", word(verdict), word(&before))
        }
        ReviewAction::Dicentric { record } => {
            let accepted = record.accepted_centromeres;
            next.dicentric = Some(Pieces::from(record).record(accepted, record.first_division, "review"));
            "aberrations scored".into()
        }
        ReviewAction::Confirm => {
            if let Some(record) = &mut next.dicentric {
                record.scored_by = "review".into();
            }
            "confirmed".into()
        }
    };
    next.revision = cell.revision + 1;
    next.review = Some(Review { by: by.trim().to_owned(), time: time.to_owned(), change: words });
    Ok(next)
}

fn named(class: Option<ChromosomeClass>) -> String {
    class.map_or_else(|| "no single chromosome".into(), |class| class.to_string())
}

/// The word that a value has in messages.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}
