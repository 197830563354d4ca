//! Where things lie: the slide is a grid of sites, about one field each.

use domain::{Assay, Sex, Stain};

use super::{
    SlideError, SlideSettings, exposure,
    genome::normal_cell,
    iscn::{self, Line},
    look::{StainLook, slide_length},
    random::SlideRng,
    scenery::{Blob, Border},
    spread::{Metaphase, Spreading, lay_out},
    stream,
};

/// Sites a row.
const COLUMNS: u64 = 12;

/// What lies on one site.
#[derive(Debug)]
pub struct Site {
    /// The metaphase, where there is one.
    pub metaphase: Option<Metaphase>,
    /// Nuclei and specks.
    pub blobs: Vec<Blob>,
    /// Borders of cells, scratches.
    pub borders: Vec<Border>,
}

/// Knows what lies where without drawing it.
#[derive(Debug)]
pub struct Catalogue {
    seed: u64,
    cells: Option<u32>,
    exposure: dosimetry::Exposure,
    pitch: [f64; 2],
    lines: Vec<Line>,
    /// Length of chromosome 1 on this slide in um.
    length: f32,
    /// Mean nuclei and specks a site.
    nuclei: f64,
    specks: f64,
    cover: f32,
}

impl Catalogue {
    /// Settles what the whole slide has in common.
    pub fn new(settings: &SlideSettings, rng: &mut SlideRng) -> Result<Self, SlideError> {
        let field = [settings.width, settings.height].map(|px| f64::from(px) * settings.um_per_px);
        let lines = match &settings.karyotype {
            Some(text) => iscn::lines(text)?,
            None => some_person(settings.assay, rng)?,
        };
        Ok(Self {
            seed: settings.seed,
            cells: settings.cells,
            exposure: settings.exposure.by_default_curve()?,
            pitch: [(field[0] * 1.05).max(110.0), (field[1] * 1.05).max(90.0)],
            lines,
            length: slide_length(settings.stain, rng),
            nuclei: f64::from(rng.between(0.6, 3.5)),
            specks: f64::from(rng.around(40.0, 0.8)),
            cover: if settings.stain == Stain::Giemsa { rng.between(0.11, 0.24) } else { rng.between(0.18, 0.3) },
        })
    }

    /// Number of sites: two a cell, one of them with the metaphase.
    pub fn sites(&self) -> Option<u64> {
        self.cells.map(|cells| 2 * u64::from(cells))
    }

    /// The cell whose metaphase lies on a site.
    pub fn cell(&self, site: u64) -> Option<u32> {
        let cell = u32::try_from(site / 2).ok()?;
        (self.cells.is_none_or(|n| cell < n) && self.site_of_cell(cell) == site).then_some(cell)
    }

    /// The site of a cell's metaphase.
    pub fn site_of_cell(&self, cell: u32) -> u64 {
        let second = SlideRng::new(self.seed, stream::CELL + u64::from(cell)).chance(0.5);
        2 * u64::from(cell) + u64::from(second)
    }

    /// Middle of a site in um. Rows run to and fro, as a stage does.
    pub fn centre(&self, site: u64) -> [f64; 2] {
        let (row, along) = (site / COLUMNS, site % COLUMNS);
        let column = if row % 2 == 0 { along } else { COLUMNS - 1 - along };
        [(column as f64 + 0.5) * self.pitch[0], (row as f64 + 0.5) * self.pitch[1]]
    }

    /// Sites that can show in a rectangle.
    pub fn around(&self, left: f64, top: f64, width: f64, height: f64) -> Vec<u64> {
        const MARGIN: f64 = 50.0;
        let place = |um: f64, pitch: f64| libm::floor(um / pitch) as i64;
        let columns = place(left - MARGIN, self.pitch[0]).max(0)
            ..=place(left + width + MARGIN, self.pitch[0]).min(COLUMNS as i64 - 1);
        let rows = place(top - MARGIN, self.pitch[1]).max(0)..=place(top + height + MARGIN, self.pitch[1]);
        let mut found = Vec::new();
        for row in rows {
            for column in columns.clone() {
                let (row, column) = (row as u64, column as u64);
                let along = if row % 2 == 0 { column } else { COLUMNS - 1 - column };
                let site = row * COLUMNS + along;
                if self.sites().is_none_or(|n| site < n) {
                    found.push(site);
                }
            }
        }
        found
    }

    /// Draws what lies on a site.
    pub fn make(&self, settings: &SlideSettings, site: u64) -> Site {
        let mut rng = SlideRng::new(self.seed, stream::SITE + site);
        let centre = self.centre(site);
        let metaphase = self.cell(site).map(|cell| self.metaphase(settings, cell, centre, &mut rng));
        let anywhere = |rng: &mut SlideRng| {
            [
                centre[0] + self.pitch[0] * f64::from(rng.between(-0.5, 0.5)),
                centre[1] + self.pitch[1] * f64::from(rng.between(-0.5, 0.5)),
            ]
        };
        let mut blobs = Vec::new();
        if let Some(cell) = metaphase.as_ref()
            && rng.chance(0.4)
        {
            let wide = rng.between(0.7, 1.1);
            blobs.push(Blob::cytoplasm(settings.stain, cell.centre, cell.reach * wide, &mut rng));
        }
        for _ in 0..rng.poisson(self.nuclei) {
            let mut place = anywhere(&mut rng);
            // Nuclei lie beside a spread, seldom in it.
            if let Some(cell) = &metaphase {
                for _ in 0..8 {
                    let apart = libm::hypot(place[0] - cell.centre[0], place[1] - cell.centre[1]);
                    if apart > f64::from(cell.reach) + 4.0 {
                        break;
                    }
                    place = anywhere(&mut rng);
                }
            }
            blobs.push(Blob::nucleus(settings.stain, place, &mut rng));
        }
        for _ in 0..rng.poisson(self.specks) {
            let place = anywhere(&mut rng);
            blobs.push(Blob::speck(settings.stain, place, &mut rng));
        }
        deposits(&mut blobs, metaphase.as_ref(), settings.stain, &mut rng);
        let borders =
            (0..rng.poisson(0.7)).map(|_| Border::new(anywhere(&mut rng), settings.stain, &mut rng)).collect();
        Site { metaphase, blobs, borders }
    }

    fn metaphase(&self, settings: &SlideSettings, cell: u32, site: [f64; 2], rng: &mut SlideRng) -> Metaphase {
        let line = pick(&self.lines, rng);
        let mut plans = line.plans.clone();
        if settings.assay == Assay::Dicentric {
            exposure::expose(&mut plans, &self.exposure, rng);
        }
        let look = StainLook::draw(settings.stain, self.length, rng);
        // Solid Giemsa is for counting: short chromosomes, spread wide. In a good G-banded preparation none cross, and tips lie free.
        let untidy = (settings.crowding - 0.25).max(0.0);
        let (usual, crossing, careless) = match settings.stain {
            Stain::GBand => (1.2, (1.6 * untidy).min(0.4), 2.0 * untidy),
            Stain::Giemsa => (1.8, 0.4, 1.0),
            Stain::Dapi | Stain::QBand => (2.1, 0.4, 1.0),
        };
        let crowding = settings.crowding * rng.around(usual, 0.45);
        let spreading = Spreading {
            cover: self.cover * rng.around(1.0, 0.15) * (0.7 + 1.2 * settings.crowding),
            touch: (crowding * (1.0 - crossing)).min(1.0),
            cross: (crowding * crossing).min(1.0),
            careless,
        };
        let (chromosomes, reach) = lay_out(plans, &look, spreading, rng);
        Metaphase {
            cell,
            centre: [
                site[0] + f64::from(rng.normal_within(0.0, 2.5)),
                site[1] + f64::from(rng.normal_within(0.0, 2.0)),
            ],
            height: rng.normal_within(0.0, 0.1),
            karyotype: line.text.clone(),
            chromosomes,
            reach,
        }
    }
}

/// Stain deposits: some fields have grains of dye in heaps, often at the chromosomes.
fn deposits(blobs: &mut Vec<Blob>, metaphase: Option<&Metaphase>, stain: Stain, rng: &mut SlideRng) {
    let Some(cell) = metaphase else { return };
    let share = if stain == Stain::GBand { 0.15 } else { 0.35 };
    if stain.is_fluorescence() || !rng.chance(share) {
        return;
    }
    for _ in 0..1 + rng.below(6) {
        let out = rng.between(0.0, cell.reach);
        let angle = rng.between(0.0, 6.3);
        let heap = [out * libm::cosf(angle), out * libm::sinf(angle)];
        for _ in 0..3 + rng.below(12) {
            let place = [
                cell.centre[0] + f64::from(heap[0] + rng.normal(0.0, 0.8)),
                cell.centre[1] + f64::from(heap[1] + rng.normal(0.0, 0.8)),
            ];
            blobs.push(Blob::speck(stain, place, rng));
        }
    }
}

fn pick<'a>(lines: &'a [Line], rng: &mut SlideRng) -> &'a Line {
    let total: f32 = lines.iter().map(|line| line.weight).sum();
    let mut at = rng.uniform() * total;
    for line in lines {
        at -= line.weight;
        if at < 0.0 {
            return line;
        }
    }
    &lines[lines.len() - 1]
}

/// A person nobody described: a sex, and for a karyotype a second clone in one cell of five.
fn some_person(assay: Assay, rng: &mut SlideRng) -> Result<Vec<Line>, SlideError> {
    let sex = if rng.chance(0.5) { Sex::Male } else { Sex::Female };
    let letters = if sex == Sex::Male { "XY" } else { "XX" };
    let normal = Line { text: format!("46,{letters}"), weight: 4.0, plans: normal_cell(sex) };
    if assay == Assay::Dicentric {
        return Ok(vec![normal]);
    }
    let text = match rng.below(6) {
        0 => format!("47,{letters},+21"),
        1 => format!("47,{letters},+8"),
        2 => format!("45,{letters},-7"),
        3 => "45,X".to_owned(),
        4 => format!("47,{letters},+18"),
        _ => format!("47,{letters},+13"),
    };
    let mut lines = iscn::lines(&text)?;
    lines.insert(0, normal);
    Ok(lines)
}
