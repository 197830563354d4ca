//! The virtual slide: karyotype or dose in, pixels and truth out. Pure, by seed.
//!
//! A slide is a plane of micrometres on which metaphases, nuclei and dirt lie, each drawn from a random stream of
//! its own ([`random`]), so that it looks the same from whichever side the stage comes to it. A cell's chromosomes
//! are segments of the ideogram ([`genome`], [`ideogram`]); [`shape`] gives each an axis and two chromatids, [`spread`]
//! lays them out, [`draw`] draws them as optical density, [`camera`] makes samples of it. [`path`] moves the stage.
//! docs/reference/virtual-slide.md says what is modelled, how well it agrees with real images and what is not.

mod banding;
mod camera;
mod draw;
pub mod exposure;
pub mod genome;
pub mod ideogram;
pub mod iscn;
mod look;
pub mod path;
mod random;
mod scenery;
mod settings;
mod shape;
mod site;
mod spread;
mod texture;
mod truth;
mod voc;

pub use camera::Samples;
pub use exposure::Exposure;
pub use path::{LivePath, ScanPath, Stop};
pub use settings::{Objective, SlideError, SlideSettings};
pub use truth::{CellTruth, ChromosomeTruth, FieldTruth};

use std::sync::Arc;

use domain::{BoundingBox, StagePosition, Stain, Status};

use camera::{Camera, Exposed};
use draw::{Pen, PixelBox, Plane};
use random::SlideRng;
use site::{Catalogue, Site};
use spread::{Metaphase, Placed};
use texture::Texture;

/// Random streams, so that nothing shares one. Sites and exposures add their number.
mod stream {
    pub const TEXTURE: u64 = 1;
    pub const CAMERA: u64 = 2;
    pub const SLIDE: u64 = 3;
    pub const SITE: u64 = 1 << 48;
    pub const CELL: u64 = 2 << 48;
    pub const PATH: u64 = 3 << 48;
    pub const NOISE: u64 = 4 << 48;
}

/// A slide under a microscope with a camera.
#[derive(Debug)]
pub struct VirtualSlide {
    settings: SlideSettings,
    catalogue: Catalogue,
    texture: Texture,
    camera: Camera,
    plane: Plane,
    pen: Pen,
    /// The slide's own tilt (um of height per um), lamp and colouring.
    tilt: [f64; 2],
    light: Light,
    /// Sites drawn lately, the latest last.
    sites: Vec<(u64, Arc<Site>)>,
}

/// What the lamp, the camera and the staining bath gave this slide.
#[derive(Debug, Clone, Copy)]
struct Light {
    gain: f32,
    ground: f32,
    ground_depth: f32,
    ground_fine: f32,
    haze: f32,
    /// How much wider than the theory's the point spread is: lens, coverslip, oil, the preparation's own thickness.
    soft: f32,
    sharpen: f32,
    full_well: f32,
}

/// What is seen: stage position, objective, movement, number of the exposure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// Where and how.
    pub stop: Stop,
    /// Through which lens.
    pub objective: Objective,
}

/// Sites that are kept drawn; a search field shows about a hundred.
const KEPT: usize = 256;

impl VirtualSlide {
    /// Puts a slide under the microscope.
    ///
    /// # Errors
    /// When the settings cannot be met: a side of zero or more than 16,384 pixels, a pixel size that is not a positive number, bits
    /// outside 8 to 16, a dose or share out of range, a karyotype that cannot be read or drawn.
    pub fn new(settings: SlideSettings) -> Result<Self, SlideError> {
        settings.check()?;
        let mut rng = SlideRng::new(settings.seed, stream::SLIDE);
        let (width, height) = (settings.width as usize, settings.height as usize);
        let light = match settings.stain {
            Stain::GBand => Light {
                gain: rng.between(0.96, 1.08),
                soft: rng.between(0.95, 1.45),
                sharpen: sometimes(&mut rng, 0.6, 0.7),
                ground: rng.between(0.005, 0.04),
                ground_depth: rng.between(0.003, 0.018),
                ground_fine: sometimes(&mut rng, 0.7, 0.025),
                haze: rng.between(0.0, 0.04),
                full_well: rng.around(30_000.0, 0.6),
            },
            Stain::Giemsa => Light {
                gain: rng.between(0.87, 0.95),
                soft: rng.between(1.3, 2.2),
                sharpen: sometimes(&mut rng, 0.6, 0.6),
                ground: rng.between(0.01, 0.04),
                ground_depth: rng.between(0.004, 0.015),
                ground_fine: sometimes(&mut rng, 0.5, 0.012),
                haze: rng.between(0.02, 0.08),
                full_well: rng.around(6_500.0, 0.35),
            },
            Stain::Dapi | Stain::QBand => Light {
                gain: rng.around(0.9, 0.3),
                soft: rng.between(1.4, 2.3),
                sharpen: sometimes(&mut rng, 0.4, 0.6),
                ground: rng.between(0.008, 0.03),
                ground_depth: rng.between(0.001, 0.004),
                ground_fine: 0.0,
                haze: rng.between(0.06, 0.2),
                full_well: rng.around(6_000.0, 0.3),
            },
        };
        let tilt = [f64::from(rng.normal_within(0.0, 0.002)), f64::from(rng.normal_within(0.0, 0.002))];
        let catalogue = Catalogue::new(&settings, &mut rng)?;
        Ok(Self {
            camera: Camera::new(width, height, &mut SlideRng::new(settings.seed, stream::CAMERA)),
            texture: camera::slide_texture(settings.seed),
            catalogue,
            plane: Plane::default(),
            pen: Pen::default(),
            tilt,
            light,
            sites: Vec::new(),
            settings,
        })
    }

    /// What the slide was made from.
    pub fn settings(&self) -> &SlideSettings {
        &self.settings
    }

    /// Fields of the slide; none when it has no end.
    pub fn fields(&self) -> Option<u64> {
        self.catalogue.sites()
    }

    /// Whether a metaphase lies in the field.
    pub fn has_metaphase(&self, field: u64) -> bool {
        self.catalogue.cell(field).is_some()
    }

    /// The field in which a cell lies.
    pub fn field_of_cell(&self, cell: u32) -> u64 {
        self.catalogue.site_of_cell(cell)
    }

    /// Middle of a field in um. Metaphases lie near it.
    pub fn field_centre(&self, field: u64) -> [f64; 2] {
        self.catalogue.centre(field)
    }

    /// Height at which the slide's plane is in focus, in um.
    pub fn focal_plane(&self, x: f64, y: f64) -> f64 {
        self.tilt[0] * x + self.tilt[1] * y
    }

    /// A place to look at a cell from: its field's middle, in focus.
    pub fn at_cell(&mut self, cell: u32) -> Stop {
        let field = self.field_of_cell(cell);
        let site = self.site(field);
        let [x, y] = site.metaphase.as_ref().map_or(self.field_centre(field), |m| m.centre);
        let height = site.metaphase.as_ref().map_or(0.0, |m| f64::from(m.height));
        let z = self.focal_plane(x, y) + height;
        Stop { stage: StagePosition { x, y, z: Some(z) }, motion_um: [0.0; 2], exposure: field }
    }

    /// Takes a frame through the working objective.
    ///
    /// # Errors
    /// When `out` has not exactly width x height samples of the depth in the settings.
    pub fn render(&mut self, stop: &Stop, out: Samples<'_>) -> Result<FieldTruth, SlideError> {
        self.render_view(&View { stop: *stop, objective: Objective::Working }, out)
    }

    /// Takes a frame through either objective.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub fn render_view(&mut self, view: &View, mut out: Samples<'_>) -> Result<FieldTruth, SlideError> {
        self.settings.fits(&out)?;
        let truth = self.compose(view, None);
        let um_per_px = self.plane.um_per_px as f32;
        let motion_px = view.stop.motion_um.map(|v| v / um_per_px);
        // Width of the point spread of an objective of aperture A at 550 nm: 0.21 * wavelength / A; out of focus the cone of light opens.
        let aperture = view.objective.aperture();
        let airy = self.light.soft * 0.21 * 0.55 / aperture;
        let cone = 0.28 * truth.defocus_um * aperture / 1.3;
        let exposed = Exposed {
            fluorescence: self.settings.stain.is_fluorescence(),
            gain: self.light.gain,
            black: 0.01,
            full_well: self.light.full_well,
            read_noise: 12.0,
            blur_px: libm::sqrtf(airy * airy + cone * cone) / um_per_px,
            sharpen: self.light.sharpen,
            motion_px,
            haze: self.light.haze,
            filter: self.settings.filter,
        };
        let mut noise = SlideRng::new(self.settings.seed, stream::NOISE + view.stop.exposure);
        self.camera.expose(&self.plane, &exposed, self.settings.bits, &mut noise, &mut out);
        Ok(truth)
    }

    /// Masks of the chromosomes in the working objective's field: 0 ground, chromosome `index` of the first cell shown
    /// as `index + 1`, of later cells counting on; 65535 where chromosomes overlap.
    ///
    /// # Errors
    /// When `labels` has not exactly width x height places.
    pub fn labels(&mut self, stop: &Stop, labels: &mut [u16]) -> Result<FieldTruth, SlideError> {
        self.settings.fits_length(labels.len())?;
        labels.fill(0);
        Ok(self.compose(&View { stop: *stop, objective: Objective::Working }, Some(labels)))
    }

    /// Draws all that lies in the view into the plane.
    fn compose(&mut self, view: &View, mut labels: Option<&mut [u16]>) -> FieldTruth {
        let (width, height) = (self.settings.width as usize, self.settings.height as usize);
        let um_per_px = self.settings.um_per_px * view.objective.reduction();
        let stage = view.stop.stage;
        let mut plane = std::mem::take(&mut self.plane);
        plane.width = width;
        plane.height = height;
        plane.um_per_px = um_per_px;
        plane.left = stage.x - width as f64 * um_per_px / 2.0;
        plane.top = stage.y - height as f64 * um_per_px / 2.0;
        plane.density.resize(width * height, 0.0);
        scenery::ground(&mut plane, &self.texture, self.light.ground, self.light.ground_depth, self.light.ground_fine);
        let mut truth = FieldTruth {
            size: [self.settings.width, self.settings.height],
            stage_um: stage,
            um_per_px,
            // A stage that says nothing of its height is in focus.
            defocus_um: stage.z.map_or(0.0, |z| (z - self.focal_plane(stage.x, stage.y)) as f32),
            cells: Vec::new(),
            nuclei: Vec::new(),
        };
        let mut pen = std::mem::take(&mut self.pen);
        let mut first_label = 0u16;
        for index in self.catalogue.around(plane.left, plane.top, width as f64 * um_per_px, height as f64 * um_per_px) {
            let site = self.site(index);
            for border in &site.borders {
                border.draw(&mut plane, &self.texture);
            }
            for blob in &site.blobs {
                if let Some(area) = blob.draw(&mut plane, &self.texture)
                    && blob.nucleus
                {
                    truth.nuclei.push(pixel_bounds(area));
                }
            }
            if let Some(cell) = &site.metaphase {
                let shown = draw_cell(&mut pen, &mut plane, cell, &self.texture, labels.as_deref_mut(), first_label);
                if let Some(shown) = shown {
                    // The metaphase decides what counts as in focus.
                    let plane = self.focal_plane(cell.centre[0], cell.centre[1]);
                    truth.defocus_um = stage.z.map_or(0.0, |z| (z - plane) as f32 - cell.height);
                    first_label += cell.chromosomes.len() as u16;
                    truth.cells.push(shown);
                }
            }
        }
        self.plane = plane;
        self.pen = pen;
        truth
    }

    fn site(&mut self, index: u64) -> Arc<Site> {
        if let Some((_, site)) = self.sites.iter().find(|(i, _)| *i == index) {
            return site.clone();
        }
        let site = Arc::new(self.catalogue.make(&self.settings, index));
        if self.sites.len() >= KEPT {
            self.sites.remove(0);
        }
        self.sites.push((index, site.clone()));
        site
    }
}

/// A setting that so many slides have, up to `most`.
fn sometimes(rng: &mut SlideRng, share: f32, most: f32) -> f32 {
    let value = rng.between(0.0, most);
    if rng.chance(share) { value } else { 0.0 }
}

fn pixel_bounds(area: PixelBox) -> BoundingBox {
    BoundingBox::from_corners(area.left as f32, area.top as f32, area.right as f32, area.bottom as f32)
}

/// Draws the chromosomes of a cell; none when none shows.
fn draw_cell(
    pen: &mut Pen,
    plane: &mut Plane,
    cell: &Metaphase,
    texture: &Texture,
    mut labels: Option<&mut [u16]>,
    first_label: u16,
) -> Option<CellTruth> {
    let [x, y] = plane.pixel(cell.centre, [0.0, 0.0]);
    let reach = cell.reach / plane.um_per_px as f32 + 2.0;
    PixelBox::clipped(x - reach, y - reach, x + reach, y + reach, plane.width, plane.height)?;
    let mut chromosomes = Vec::new();
    for (index, placed) in cell.chromosomes.iter().enumerate() {
        let label = first_label + index as u16 + 1;
        let drawn = pen.chromosome(plane, cell.centre, &placed.shape, texture, |at| {
            if let Some(labels) = labels.as_deref_mut() {
                labels[at] = if labels[at] == 0 { label } else { u16::MAX };
            }
        });
        if let Some(bounds) = drawn {
            chromosomes.push(chromosome_truth(plane, cell, index as u32, placed, pixel_bounds(bounds)));
        }
    }
    let region = chromosomes.iter().map(|c| c.bounds).reduce(|a, b| a.union(&b))?;
    let total = cell.chromosomes.len() as u32;
    let complete = chromosomes.len() as u32 == total && chromosomes.iter().all(|c| !c.cut);
    Some(CellTruth { cell: cell.cell, region, karyotype: cell.karyotype.clone(), total, complete, chromosomes })
}

fn chromosome_truth(
    plane: &Plane,
    cell: &Metaphase,
    index: u32,
    placed: &Placed,
    bounds: BoundingBox,
) -> ChromosomeTruth {
    let tenth = |v: [f32; 2]| v.map(|c| libm::roundf(c * 10.0) / 10.0);
    let at = |t: f32| tenth(plane.pixel(cell.centre, placed.shape.point(t)));
    let shape = &placed.shape;
    let points = (shape.length / 0.5) as usize + 3;
    let status = match (placed.touching.is_empty(), placed.crossing.is_empty()) {
        (true, _) => Status::Single,
        (false, true) => Status::Touching,
        (false, false) => Status::Crossing,
    };
    let index_of = |c: f32| {
        let part = (c * shape.length + shape.profile.lead) / (shape.length + 2.0 * shape.profile.lead);
        libm::roundf(part.min(1.0 - part) * 1000.0) / 1000.0
    };
    ChromosomeTruth {
        index,
        class: placed.plan.class,
        name: placed.plan.name.clone(),
        axis: (0..points).map(|i| at(i as f32 / (points - 1) as f32)).collect(),
        centromeres: shape.centromeres.iter().map(|c| at(*c)).collect(),
        centromere_index: (shape.centromeres.len() == 1 && !shape.closed).then(|| index_of(shape.centromeres[0])),
        length_um: libm::roundf((shape.length + shape.tips) * 100.0) / 100.0,
        status,
        touches: placed.touching.clone(),
        dicentric: placed.plan.is_dicentric(),
        ring: placed.plan.ring,
        fragment: placed.plan.is_fragment(),
        cut: bounds.x <= 0.0
            || bounds.y <= 0.0
            || bounds.right() >= plane.width as f32
            || bounds.bottom() >= plane.height as f32,
        bounds,
    }
}

#[cfg(test)]
mod tests;
