//! A cell's pieces for the dicentric assay: which of the detector's objects are pieces, and what is measured of them.

use domain::{BoundingBox, Centromere, Chromosome, FoundBy, Outline, Point, frame::Pixels};
use dosimetry::dicentric::{Piece, Site};
use imaging::{ChromosomeMask, ChromosomeProfile, Crop, Cutout, Waist, Widths};
use recognition::Recognised;

use super::pictures;

/// A network's centromere belongs to a narrow place that lies no farther from it along the axis, in mean widths.
const SAME_PLACE: f32 = 0.45;
/// Two objects are one when they share so much of the smaller one's area.
const SAME_OBJECT: f32 = 0.5;
/// Share of the smaller one's area from which two lie across one another.
const CROSSING_SHARE: f32 = 0.06;

/// A piece of a cell.
#[derive(Debug, Clone)]
pub struct CellPiece {
    /// Its chromosome in the record.
    pub chromosome: Chromosome,
    /// What is measured of it; none where nothing has drawn it.
    pub measured: Option<Piece>,
}

/// The pieces of a recognised cell, and how many of its objects were left out as seen twice.
///
/// Of two objects that share most of the smaller one's area the detector's surer one stays. Where two meet at a constriction and
/// one of them has no centromere of its own, the detector has cut a chromosome at its centromere: they are joined.
pub fn cell_pieces(recognised: &Recognised, chromosomes: Vec<Chromosome>, pixels: &Pixels) -> (Vec<CellPiece>, u32) {
    let (width, height) = (pixels.width(), pixels.height());
    let faint: Vec<Centromere> = recognised
        .candidates
        .iter()
        .filter(|c| c.accepted)
        .filter_map(|c| c.drawn.as_ref())
        .flat_map(|drawn| drawn.centromeres.iter().chain(&drawn.faint).copied())
        .collect();
    let cut = |c: &Chromosome| c.outline.as_ref().and_then(|outline| Cutout::of(&outline.rings, width, height));
    let before = chromosomes.len();
    let mut objects: Vec<(Chromosome, Option<Cutout>)> =
        chromosomes.into_iter().map(|c| (cut(&c), c)).map(|(a, b)| (b, a)).collect();
    leave_out_doubles(&mut objects);
    let doubles = (before - objects.len()) as u32;
    join_cut(&mut objects, &faint, pixels);
    let mut pieces: Vec<CellPiece> = objects
        .iter()
        .enumerate()
        .map(|(i, (chromosome, cutout))| {
            let measured = cutout
                .as_ref()
                .and_then(|cutout| measure(cutout, &faint, pixels))
                .map(|(piece, _)| Piece { crossing: crosses(&objects, i), ..piece });
            CellPiece { chromosome: Chromosome { index: i as u32, ..chromosome.clone() }, measured }
        })
        .collect();
    in_units_of_the_cell(&mut pieces);
    (pieces, doubles)
}

/// Length, area and aspect in units of the cell's medians.
fn in_units_of_the_cell(pieces: &mut [CellPiece]) {
    let median = |pick: fn(&Piece) -> f32| {
        let mut values: Vec<f32> = pieces.iter().filter_map(|p| p.measured.as_ref()).map(pick).collect();
        values.sort_by(f32::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(1.0).max(0.1)
    };
    let (length, area, aspect) = (median(|p| p.length), median(|p| p.area), median(|p| p.aspect));
    for piece in pieces.iter_mut().filter_map(|p| p.measured.as_mut()) {
        piece.length /= length;
        piece.area /= area;
        piece.slender = piece.aspect / aspect;
    }
}

/// Removes each object that shares most of its area, or of the other's, with a surer one.
fn leave_out_doubles(objects: &mut Vec<(Chromosome, Option<Cutout>)>) {
    objects.sort_by(|a, b| b.0.objectness.total_cmp(&a.0.objectness));
    let mut kept: Vec<(Chromosome, Option<Cutout>)> = Vec::with_capacity(objects.len());
    for (chromosome, cutout) in objects.drain(..) {
        let same = |other: &Option<Cutout>| match (&cutout, other) {
            (Some(a), Some(b)) => a.meets(b).0 as f32 >= SAME_OBJECT * a.area().min(b.area()) as f32,
            _ => false,
        };
        if !kept.iter().any(|(_, other)| same(other)) {
            kept.push((chromosome, cutout));
        }
    }
    *objects = kept;
}

fn crosses(objects: &[(Chromosome, Option<Cutout>)], i: usize) -> bool {
    let Some(own) = &objects[i].1 else { return false };
    let across = |other: &Cutout| own.meets(other).0 as f32 >= CROSSING_SHARE * own.area().min(other.area()) as f32;
    objects.iter().enumerate().any(|(j, (_, other))| j != i && other.as_ref().is_some_and(across))
}

/// Depth of the constriction at which two parts of one chromosome meet, least darkness there, and how far it lies from the ends, in mean
/// widths.
const CUT_DEPTH: f32 = 0.2;
const CUT_TONE: f32 = 0.8;
const CUT_FROM_END: f32 = 0.35;
/// Heat of a centromere that a part has of its own, and how far from where it was cut it lies, in mean widths.
const OWN_HEAT: f32 = 0.3;
const OWN_APART: f32 = 0.6;
/// A joined chromosome bends less, and is longer than wide.
const JOINED_BEND: f32 = 0.15;
const JOINED_ASPECT: f32 = 1.8;

/// Joins the parts of chromosomes that were cut at a centromere, the neighbours nearest to being one chromosome first.
fn join_cut(objects: &mut Vec<(Chromosome, Option<Cutout>)>, seen: &[Centromere], pixels: &Pixels) {
    'again: loop {
        for i in 0..objects.len() {
            for j in 0..i {
                let (Some(a), Some(b)) = (&objects[i].1, &objects[j].1) else { continue };
                let Some(both) = cut_apart(a, b, seen, pixels) else { continue };
                let joined = join(&objects[i].0, &objects[j].0, &both);
                objects[j] = (joined, Some(both));
                objects.remove(i);
                continue 'again;
            }
        }
        return;
    }
}

/// The pixels of both where they are parts of one chromosome.
fn cut_apart(a: &Cutout, b: &Cutout, seen: &[Centromere], pixels: &Pixels) -> Option<Cutout> {
    let (shared, _) = a.meets(b);
    if shared as f32 > 0.15 * a.area().min(b.area()) as f32 {
        return None;
    }
    let (both, contact) = a.joined(b)?;
    let (piece, profile) = measure(&both, seen, pixels)?;
    let corner = pictures_corner(&both);
    let at = profile.share_at([contact[0] - corner[0] - 0.5, contact[1] - corner[1] - 0.5]);
    let near = |site: &Site| (site.share - at).abs() * piece.aspect;
    let cut = piece.sites.iter().min_by(|s, t| near(s).total_cmp(&near(t))).filter(|s| near(s) <= OWN_APART)?;
    let fits = cut.depth >= CUT_DEPTH
        && cut.both >= CUT_DEPTH / 2.0
        && cut.tone >= CUT_TONE
        && cut.share.min(1.0 - cut.share) * piece.aspect >= CUT_FROM_END
        && piece.bend <= JOINED_BEND
        && piece.aspect >= JOINED_ASPECT;
    let own = |before: bool| {
        let side = |s: &&Site| (s.share < cut.share) == before && near(s) > OWN_APART;
        piece.sites.iter().filter(side).any(|s| s.heat >= OWN_HEAT)
    };
    (fits && !(own(true) && own(false))).then_some(both)
}

/// The chromosome of two parts.
fn join(a: &Chromosome, b: &Chromosome, both: &Cutout) -> Chromosome {
    let mut joined = if a.objectness >= b.objectness { a.clone() } else { b.clone() };
    joined.bounds = a.bounds.union(&b.bounds);
    joined.centromeres.clear();
    joined.centromeres.extend(a.centromeres.iter().chain(&b.centromeres).copied());
    let score = [a, b].iter().filter_map(|c| c.outline.as_ref()).map(|o| o.score).fold(1.0, f32::min);
    joined.outline = Some(Outline { source: FoundBy::Network, score, rings: both.outline() });
    joined
}

/// Pixels of ground around a cut-out in its crop.
const MARGIN: usize = 2;

/// Where the crop of a cut-out begins in the frame.
fn pictures_corner(cutout: &Cutout) -> Point {
    [cutout.bounds.left.saturating_sub(MARGIN) as f32, cutout.bounds.top.saturating_sub(MARGIN) as f32]
}

/// What is measured of a cut-out; length and area in pixels.
fn measure(cutout: &Cutout, seen: &[Centromere], pixels: &Pixels) -> Option<(Piece, ChromosomeProfile)> {
    let b = cutout.bounds;
    let around = BoundingBox::from_corners(
        b.left as f32 - MARGIN as f32,
        b.top as f32 - MARGIN as f32,
        (b.right + MARGIN) as f32,
        (b.bottom + MARGIN) as f32,
    );
    let (mut crop, left, top) = pictures::window(pixels, &around)?;
    crop.mask = vec![0; crop.width * crop.height];
    for (x, y) in cutout.inside() {
        if let (Some(x), Some(y)) = (x.checked_sub(left), y.checked_sub(top))
            && x < crop.width
            && y < crop.height
        {
            crop.mask[y * crop.width + x] = 1;
        }
    }
    let (mask, profile) = measured_mask(&crop)?;
    let widths = Widths::of(&mask, &profile);
    let aspect = profile.length / widths.mean.max(1.0);
    let inside = |p: &Point| {
        let (x, y) = (p[0] - left as f32, p[1] - top as f32);
        x >= 0.0 && y >= 0.0 && mask.darkness(x - 0.5, y - 0.5).is_some()
    };
    let own: Vec<(f32, f32)> = seen
        .iter()
        .filter(|c| inside(&c.at))
        .map(|c| (profile.share_at([c.at[0] - left as f32 - 0.5, c.at[1] - top as f32 - 0.5]), c.score))
        .collect();
    let on_ground = profile.path.iter().filter(|p| mask.darkness(p[0], p[1]).is_none()).count();
    let piece = Piece {
        sites: sites(&widths, &own, SAME_PLACE / aspect.max(0.5)),
        aspect,
        slender: 1.0,
        length: profile.length,
        area: mask.area() as f32,
        hole: profile.hole,
        bend: profile.bend,
        open: on_ground as f32 / profile.path.len() as f32,
        crossing: false,
    };
    Some((piece, profile))
}

fn measured_mask(crop: &Crop) -> Option<(ChromosomeMask, ChromosomeProfile)> {
    Some((crop.chromosome_mask()?, ChromosomeProfile::by_rows(crop)?))
}

/// Narrow places and the network's centromeres (share and score), those within `near` of each other as one.
fn sites(widths: &Widths, seen: &[(f32, f32)], near: f32) -> Vec<Site> {
    let of =
        |w: Waist, heat: f32| Site { share: w.share, heat, depth: w.depth, both: w.both, mass: w.mass, tone: w.tone };
    let mut sites: Vec<Site> = widths.waists().into_iter().map(|waist| of(waist, 0.0)).collect();
    for (share, heat) in seen {
        let nearest = sites.iter_mut().min_by(|a, b| (a.share - share).abs().total_cmp(&(b.share - share).abs()));
        match nearest.filter(|site| (site.share - share).abs() <= near) {
            Some(site) => site.heat = site.heat.max(*heat),
            None => sites.push(of(widths.across(*share), *heat)),
        }
    }
    sites.sort_by(|a, b| a.share.total_cmp(&b.share));
    sites
}
