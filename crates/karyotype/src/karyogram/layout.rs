//! Where each chromosome of a karyogram stands.

use domain::{BoundingBox, Cell, Chromosome, ChromosomeClass, Damage, Finding, FindingKind};
use imaging::Crop;

use super::{
    super::{is_withheld, morphology},
    Orientation,
    upright::Upright,
};

/// Rows of classes, by place in the order 1..22, X, Y, with a gap between groups.
const ROWS: [&[(&str, &[usize])]; 4] = [
    &[("A", &[0, 1, 2]), ("B", &[3, 4])],
    &[("C", &[5, 6, 7, 8, 9, 10, 11])],
    &[("D", &[12, 13, 14]), ("E", &[15, 16, 17])],
    &[("F", &[18, 19]), ("G", &[20, 21]), ("", &[22, 23])],
];
/// Width of the sheet.
pub(super) const WIDTH: f32 = 960.0;
pub(super) const MARGIN: f32 = 36.0;
const TITLE: f32 = 62.0;
/// Height that the longest chromosome gets.
const TALLEST: f32 = 150.0;
const BETWEEN: f32 = 7.0;
const LABELS: f32 = 52.0;

/// One chromosome on the sheet.
pub(super) struct Placed {
    pub index: u32,
    pub image: Upright,
    /// Left and top of its picture.
    pub x: f32,
    pub y: f32,
    /// Share of its height that lies above its centromere.
    above: f32,
    /// Probability of its class.
    pub score: f32,
    pub doubtful: bool,
}

/// One class on the sheet.
pub(super) struct Slot {
    pub class: Option<ChromosomeClass>,
    pub label: String,
    pub x: f32,
    pub width: f32,
    /// The line on which their centromeres lie.
    pub line: f32,
    /// Below the longest of the row.
    pub base: f32,
    pub placed: Vec<Placed>,
    /// Places left empty, by their middle.
    pub missing: Vec<f32>,
    /// Part of a finding.
    pub marked: bool,
}

/// A group's name and the stretch it spans.
pub(super) struct Group {
    pub name: &'static str,
    pub from: f32,
    pub to: f32,
    pub y: f32,
    /// Where the centromeres lie.
    pub line: f32,
}

pub(super) struct Sheet {
    pub width: f32,
    pub height: f32,
    /// Sheet units per image pixel.
    pub scale: f32,
    pub slots: Vec<Slot>,
    pub groups: Vec<Group>,
    pub sex_withheld: bool,
}

/// Scores below this are marked as doubtful.
const DOUBTFUL: f32 = 0.8;

pub(super) fn sheet(cell: &Cell, crops: &[Option<Crop>], orientation: Orientation) -> Sheet {
    let stand = match orientation {
        Orientation::Upright => Upright::of,
        Orientation::Straight => Upright::straight,
    };
    let boxes: Vec<BoundingBox> = cell.chromosomes.iter().map(|c| c.bounds).collect();
    let crops = imaging::isolate(crops, &boxes);
    let mut images: Vec<Option<Upright>> = cell
        .chromosomes
        .iter()
        .enumerate()
        .map(|(i, c)| {
            let [left, top, ..] = c.picture_bounds(cell.captured.size).map(|v| v as f32 + 0.5);
            let spot = c.centromeres.first().map(|one| [one.at[0] - left, one.at[1] - top]);
            let crop = crops.get(i)?.as_ref()?;
            let image = match c.stance {
                Some(stance) if orientation == Orientation::Upright => Upright::exactly(crop, stance.angle, spot),
                _ => stand(crop, c.upright_angle, spot),
            };
            image.map(|image| if c.stance.is_some_and(|stance| stance.mirrored) { image.mirrored() } else { image })
        })
        .collect();
    let sex_withheld = cell.chromosomes.iter().any(is_withheld);
    let tallest = images.iter().flatten().map(|i| i.height).max().unwrap_or(100) as f32;
    let scale = TALLEST / tallest;
    let in_finding = |index: u32| cell.karyotype.findings.iter().any(|f| f.chromosomes.contains(&index));
    let mut sheet = Sheet { width: WIDTH, height: 0.0, scale, slots: Vec::new(), groups: Vec::new(), sex_withheld };
    let mut top = TITLE;
    let mut rows: Vec<Vec<(&'static str, Vec<Slot>)>> = Vec::new();
    for row in ROWS {
        let mut groups = Vec::new();
        for (name, classes) in row {
            let slots = classes
                .iter()
                .filter_map(|c| ChromosomeClass::from_index(*c))
                .filter(|class| !(sex_withheld && class.is_sex()))
                .map(|class| {
                    let own = cell.chromosomes.iter().filter(|c| c.class == Some(class));
                    let mut slot = slot(Some(class), class.name().into());
                    for c in own {
                        slot.marked |= in_finding(c.index);
                        let score = c.score;
                        let position = cell.chromosomes.iter().position(|other| other.index == c.index);
                        if let Some(image) = position.and_then(|p| images[p].take()) {
                            slot.placed.push(placed(c, image, score < DOUBTFUL));
                        }
                    }
                    // The surest first, the doubtful ones last; a derivative chromosome stands right of the normal one.
                    let derived = |placed: &Placed| is_derivative(cell, placed.index);
                    slot.placed.sort_by(|a, b| derived(a).cmp(&derived(b)).then(b.score.total_cmp(&a.score)));
                    slot.marked |= cell.karyotype.findings.iter().any(|f| f.class == Some(class));
                    let expected = if class.is_sex() { 0 } else { 2 };
                    slot.missing = vec![0.0; usize::saturating_sub(expected, slot.placed.len())];
                    slot
                })
                .collect();
            groups.push((*name, slots));
        }
        rows.push(groups);
    }
    let mut rest = slot(None, "no class".into());
    for (position, c) in cell.chromosomes.iter().enumerate() {
        if c.class.is_none()
            && !is_withheld(c)
            && let Some(image) = images[position].take()
        {
            rest.placed.push(placed(c, image, true));
        }
    }
    if !rest.placed.is_empty() {
        rows.push(vec![("", vec![rest])]);
    }
    for row in rows {
        top = place_row(&mut sheet, row, top);
    }
    sheet.height = top + 46.0;
    sheet
}

/// Whether a chromosome's structure is unlike its class's.
fn is_derivative(cell: &Cell, index: u32) -> bool {
    let structural = |f: &Finding| f.kind == FindingKind::Structural && f.chromosomes.contains(&index);
    cell.karyotype.findings.iter().any(structural)
        || cell.chromosomes.iter().any(|c| c.index == index && c.damage != Damage::None)
}

fn slot(class: Option<ChromosomeClass>, label: String) -> Slot {
    Slot {
        class,
        label,
        x: 0.0,
        width: 0.0,
        line: 0.0,
        base: 0.0,
        placed: Vec::new(),
        missing: Vec::new(),
        marked: false,
    }
}

/// A chromosome before it has its place. Where its centromere was not seen, it lies where that of its class usually does.
fn placed(chromosome: &Chromosome, image: Upright, doubtful: bool) -> Placed {
    let height = image.height.max(1) as f32;
    let usual = || chromosome.class.map_or(0.5, |class| morphology(class).centromere_index);
    let index = || chromosome.centromere_index.unwrap_or_else(usual);
    let above = image.spot.map_or_else(index, |row| row / height);
    Placed { index: chromosome.index, image, x: 0.0, y: 0.0, above, score: chromosome.score, doubtful }
}

/// Spreads a row over the width; returns the top of the next.
fn place_row(sheet: &mut Sheet, row: Vec<(&'static str, Vec<Slot>)>, top: f32) -> f32 {
    let scale = sheet.scale;
    let widths = |slot: &Slot| -> f32 {
        let drawn: f32 = slot.placed.iter().map(|p| p.image.width as f32 * scale + BETWEEN).sum();
        let label = if slot.class.is_none() { 90.0 } else { 48.0 };
        (drawn + slot.missing.len() as f32 * (24.0 + BETWEEN)).max(label)
    };
    // Room above and below the line of the centromeres: for what is there, and for what a class usually needs.
    let slots = || row.iter().flat_map(|(_, slots)| slots);
    let usual = slots().filter_map(|s| s.class).map(|class| {
        let shape = morphology(class);
        let height = TALLEST * 0.9 * shape.relative_length / 8.44;
        (height * shape.centromere_index, height * (1.0 - shape.centromere_index))
    });
    let drawn = slots().flat_map(|s| &s.placed).map(|p| {
        let height = p.image.height as f32 * scale;
        (height * p.above, height * (1.0 - p.above))
    });
    let (above, below) = usual.chain(drawn).fold((0.0_f32, 0.0_f32), |(a, b), (c, d)| (a.max(c), b.max(d)));
    let line = top + above;
    let base = line + below;
    let slots_wide: f32 = row.iter().flat_map(|(_, slots)| slots).map(widths).sum();
    let gaps = row.iter().map(|(_, slots)| slots.len()).sum::<usize>() + row.len().saturating_sub(1);
    let gap = ((sheet.width - 2.0 * MARGIN - slots_wide) / gaps.max(1) as f32).clamp(6.0, 96.0);
    let mut x = MARGIN;
    for (name, slots) in row {
        let from = x;
        for mut slot in slots {
            slot.width = widths(&slot);
            slot.x = x;
            (slot.line, slot.base) = (line, base);
            let drawn: f32 = slot.placed.iter().map(|p| p.image.width as f32 * scale + BETWEEN).sum::<f32>()
                + slot.missing.len() as f32 * (24.0 + BETWEEN)
                - BETWEEN;
            let mut at = x + (slot.width - drawn) / 2.0;
            for placed in &mut slot.placed {
                placed.x = at;
                placed.y = line - placed.above * placed.image.height as f32 * scale;
                at += placed.image.width as f32 * scale + BETWEEN;
            }
            for middle in &mut slot.missing {
                *middle = at + 12.0;
                at += 24.0 + BETWEEN;
            }
            x += slot.width + gap;
            sheet.slots.push(slot);
        }
        if !name.is_empty() {
            sheet.groups.push(Group { name, from, to: x - gap, y: base + 34.0, line });
        }
        x += gap;
    }
    // A row with many extra copies may need more than the sheet's width.
    sheet.width = sheet.width.max(x + MARGIN - 2.0 * gap);
    base + LABELS
}
