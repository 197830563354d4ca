//! Which cells a machine's scores are counted of: those that look like a whole cell, the best first.

use super::Piece;

/// Borders of the groups of chromosomes by their share of the cell's area: A and B lie above the first, C between them, D to G below.
const GROUP_BORDERS: [f32; 2] = [0.029, 0.02];
/// Chromosomes of those groups, of a woman and of a man.
const GROUPS: [[f32; 3]; 2] = [[10.0, 16.0, 20.0], [10.0, 15.0, 21.0]];

/// A rule of selection. Curve and sample must be selected alike: it is part of the scorer's name.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SelectionRule {
    /// Least and greatest number of pieces; none: any.
    pub pieces: Option<[u32; 2]>,
    /// Greatest group distance ([`group_distance`]); none: any.
    pub distance: Option<f32>,
    /// Of the cells of a case so many count, those of the least group distance; none: all.
    pub best: Option<u32>,
}

impl SelectionRule {
    /// In words, for the name of a scorer; nothing where it selects nothing.
    pub fn words(&self) -> Option<String> {
        let pieces = self.pieces.map(|[low, high]| format!("{low} to {high} pieces"));
        let distance = self.distance.map(|most| format!("group distance up to {most}"));
        let best = self.best.map(|n| format!("the best {n} of a case"));
        let parts: Vec<String> = [pieces, distance, best].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// Why a cell is left out, in words; none where it is not. `distance` is none where it could not be measured.
    pub fn leaves_out(&self, pieces: u32, distance: Option<f32>) -> Option<String> {
        if let Some([low, high]) = self.pieces.filter(|[low, high]| !(*low..=*high).contains(&pieces)) {
            return Some(format!("it has {pieces} pieces, {low} to {high} are selected"));
        }
        match (distance, self.distance) {
            (Some(found), Some(most)) if found > most => {
                Some(format!("its group distance is {found:.1}, up to {most} is selected"))
            }
            (None, _) if self.distance.or(self.best.map(|_| 0.0)).is_some() => {
                Some("the areas of its pieces could not be measured".into())
            }
            _ => None,
        }
    }
}

/// How far the sizes of a cell's pieces lie from those of a whole cell: the distance of the numbers of pieces in three groups of area
/// (above 2.9 %, 2.0 to 2.9 %, below 2.0 % of the cell's) from those of a woman (10, 16, 20) or a man (10, 15, 21), whichever is nearer.
/// This is the group bin distance by which ADCI ranks metaphases (Liu et al. 2017; borders and numbers as in its published script).
/// Pieces that could not be measured count by no area; none where more than a fifth could not.
pub fn group_distance(pieces: &[Option<Piece>]) -> Option<f32> {
    let areas: Vec<f32> = pieces.iter().flatten().map(|piece| piece.area).collect();
    let total: f32 = areas.iter().sum();
    if total <= 0.0 || (areas.len() as f32) < 0.8 * pieces.len() as f32 {
        return None;
    }
    let mut groups = [0.0_f32; 3];
    for area in areas {
        let share = area / total;
        groups[GROUP_BORDERS.iter().position(|border| share > *border).unwrap_or(2)] += 1.0;
    }
    let from = |whole: &[f32; 3]| groups.iter().zip(whole).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
    Some(GROUPS.iter().map(from).fold(f32::INFINITY, f32::min))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Areas of a woman's chromosomes in percent of the cell, by DNA (ADCI's script).
    const WOMAN: [f32; 23] = [
        4.113, 3.997, 3.271, 3.138, 2.973, 2.808, 2.643, 2.577, 2.395, 2.279, 2.213, 2.230, 2.197, 1.883, 1.767, 1.685,
        1.487, 1.371, 1.321, 1.057, 0.975, 0.842, 0.776,
    ];

    fn pieces(areas: impl Iterator<Item = f32>) -> Vec<Option<Piece>> {
        areas.map(|area| Some(Piece { area, ..Piece::default() })).collect()
    }

    #[test]
    fn a_whole_cell_lies_at_no_distance_and_one_with_joined_or_lost_pieces_does() {
        let whole = || WOMAN.into_iter().flat_map(|area| [area, area]);
        assert_eq!(group_distance(&pieces(whole())), Some(0.0));
        // Two large ones seen as one each: two of A and B are gone, and what is left is a larger share.
        let joined = group_distance(&pieces(whole().skip(4).chain([8.2, 8.0]))).expect("a distance");
        assert!(joined >= 2.0, "{joined}");
        let lost = group_distance(&pieces(whole().take(30))).expect("a distance");
        assert!(lost > joined, "{lost}");
        let mut unmeasured = pieces(whole());
        unmeasured[..10].fill(None);
        assert_eq!(group_distance(&unmeasured), None);
    }

    #[test]
    fn a_cell_is_left_out_with_the_reason_and_the_rule_has_a_name() {
        let rule = SelectionRule { pieces: Some([42, 50]), distance: Some(5.0), best: Some(250) };
        assert_eq!(rule.leaves_out(46, Some(2.0)), None);
        assert!(rule.leaves_out(51, Some(2.0)).expect("left out").contains("51 pieces, 42 to 50"));
        assert!(rule.leaves_out(46, Some(5.4)).expect("left out").contains("5.4, up to 5"));
        assert!(rule.leaves_out(46, None).expect("left out").contains("not be measured"));
        assert_eq!(rule.words().as_deref(), Some("42 to 50 pieces, group distance up to 5, the best 250 of a case"));
        assert_eq!((SelectionRule::default().words(), SelectionRule::default().leaves_out(9, None)), (None, None));
    }
}
