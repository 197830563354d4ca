//! A file that was written again: its cells are those of before, at their next revision. Pure.

use crate::store::{CellCommit, FrameCommit, Message};
use domain::{Cell, Said, Verdict};

/// Gives the cells of `frame` the ids of the `earlier` cells of the same file, and writes their messages again. Cells
/// are paired by where they lie. An earlier cell without a partner is withdrawn: not assessable, with the reason.
pub(super) fn revise(frame: &mut FrameCommit, mut earlier: Vec<Cell>, thumbnails: bool) {
    if earlier.is_empty() {
        return;
    }
    let droppable = frame.messages.first().is_some_and(|message| message.droppable);
    let mut new: Vec<&mut Cell> = frame.cells.iter_mut().map(|commit| &mut commit.cell).collect();
    // Those that lie most alike first: a cell without a counterpart must not take another's.
    while let Some((n, e)) = closest(&new, &earlier) {
        let (cell, old) = (new.remove(n), earlier.remove(e));
        (cell.cell, cell.revision) = (old.cell, old.revision + 1);
        // It stays where it was counted, and excluded until a person says otherwise.
        (cell.case, cell.slide, cell.colony, cell.excluded) = (old.case, old.slide, old.colony, old.excluded);
        cell.comments = old.comments;
    }
    let withdrawn = earlier.into_iter().map(withdrawn);
    frame.cells.extend(withdrawn.map(|cell| CellCommit { cell, crops: Vec::new(), thumbnail: None, image: None }));
    frame.messages = frame
        .cells
        .iter()
        // A record holds nothing that JSON cannot say.
        .filter_map(|c| Message::cell(&c.cell, c.thumbnail.as_deref().filter(|_| thumbnails), droppable).ok())
        .collect();
}

/// The places of the new and the earlier cell that lie most alike, the first of several; none where either list is empty.
fn closest(new: &[&mut Cell], earlier: &[Cell]) -> Option<(usize, usize)> {
    let pairs = (0..new.len()).flat_map(|n| (0..earlier.len()).map(move |e| (n, e)));
    let overlap = |&(n, e): &(usize, usize)| earlier[e].region.iou(&new[n].region);
    // `max_by` gives the last of equal ones.
    pairs.rev().max_by(|a, b| overlap(a).total_cmp(&overlap(b)))
}

fn withdrawn(mut cell: Cell) -> Cell {
    cell.revision += 1;
    cell.karyotype.verdict = Verdict::NotAssessable;
    cell.karyotype.iscn = None;
    cell.karyotype.findings.clear();
    let text = "its file was written again and shows this cell no more";
    cell.karyotype.explain(Said::new("withdrawn", text));
    cell.dicentric = None;
    cell.review = None;
    cell
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::BoundingBox;
    use testing::sample_cell;

    fn cell(number: u64, x: f32, case: &str) -> Cell {
        let region = BoundingBox { x, y: 0.0, width: 100.0, height: 100.0 };
        Cell { region, ..sample_cell(number, Some(case), Verdict::Normal) }
    }

    fn commit(cells: Vec<Cell>) -> FrameCommit {
        let messages = cells.iter().map(|cell| Message::cell(cell, None, true).expect("JSON")).collect();
        let cells =
            cells.into_iter().map(|cell| CellCommit { cell, crops: vec![], thumbnail: None, image: None }).collect();
        FrameCommit { cells, messages, ..FrameCommit::default() }
    }

    #[test]
    fn cells_keep_their_ids_and_their_case_and_what_is_gone_is_withdrawn() {
        let earlier = vec![cell(1, 0.0, "A"), Cell { revision: 3, ..cell(2, 500.0, "A") }, cell(3, 900.0, "A")];
        let mut frame = commit(vec![cell(7, 510.0, "B"), cell(8, 5.0, "B")]);
        revise(&mut frame, earlier.clone(), false);
        let found: Vec<_> = frame.cells.iter().map(|c| (c.cell.cell, c.cell.revision)).collect();
        assert_eq!(found, [(earlier[1].cell, 4), (earlier[0].cell, 2), (earlier[2].cell, 2)]);
        assert!(frame.cells.iter().all(|c| c.cell.case.as_deref() == Some("A")));
        let gone = &frame.cells[2].cell.karyotype;
        assert_eq!((gone.verdict, &gone.iscn), (Verdict::NotAssessable, &None));
        assert!(gone.reason.contains("written again"), "{}", gone.reason);
        assert_eq!(frame.messages.len(), 3);
        assert!(frame.messages[0].payload.contains(&earlier[1].cell.to_string()) && frame.messages[0].droppable);
    }

    #[test]
    fn a_cell_without_a_counterpart_takes_no_other_ones_place_and_an_exclusion_stands() {
        let exclusion =
            domain::Exclusion { by: "ana".into(), time: "2026-11-22T12:00:00Z".into(), reason: "poor".into() };
        let earlier = vec![cell(1, 0.0, "A"), Cell { excluded: Some(exclusion.clone()), ..cell(2, 500.0, "A") }];
        let mut frame = commit(vec![cell(7, 900.0, "A"), cell(8, 510.0, "A")]);
        revise(&mut frame, earlier.clone(), false);
        let [far, near] = &frame.cells[..] else { panic!("two cells") };
        assert_eq!((far.cell.cell, &far.cell.excluded), (earlier[0].cell, &None));
        assert_eq!((near.cell.cell, &near.cell.excluded), (earlier[1].cell, &Some(exclusion)));
    }

    #[test]
    fn a_file_that_gave_no_cell_before_gives_new_ones() {
        let mut frame = commit(vec![cell(7, 0.0, "B")]);
        let before = frame.cells[0].cell.clone();
        revise(&mut frame, Vec::new(), false);
        assert_eq!(frame.cells[0].cell, before);
    }
}
