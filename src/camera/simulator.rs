//! The virtual slide as a camera.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Buffers, Capture, MAX_WAIT, Source, SourceError};
use crate::config::SlidePath;
use domain::{
    AberrationCounts, Assay, PieceKind, ScoredBy, TrueCell,
    frame::{Frame, FrameId, FrameInfo, PixelFormat, Pixels},
};
use slide::{CellTruth, LivePath, Samples, ScanPath, SlideSettings, Stop, VirtualSlide};

/// What a simulated camera needs to know.
pub struct SimulatorSettings {
    /// Name of the source.
    pub name: Arc<str>,
    /// The slide.
    pub slide: SlideSettings,
    /// How the stage moves.
    pub stage: SlidePath,
    /// Frames per second; none: as fast as they are taken.
    pub rate_hz: Option<f64>,
    /// What was drawn is not said of the cells, so that the machine scores them.
    pub machine_scored: bool,
}

/// A camera over the virtual slide.
pub struct SimulatorSource {
    name: Arc<str>,
    slide: VirtualSlide,
    path: Path,
    period: Duration,
    due: Instant,
    count: u64,
    machine_scored: bool,
}

enum Path {
    Live(LivePath),
    Scan(ScanPath),
}

impl SimulatorSource {
    /// Makes the slide and the path over it.
    ///
    /// # Errors
    /// When the slide's settings cannot be met.
    pub fn open(settings: SimulatorSettings) -> Result<Self, SourceError> {
        let slide = VirtualSlide::new(settings.slide).map_err(|error| SourceError::Unsupported(error.to_string()))?;
        let path = match settings.stage {
            SlidePath::Live => Path::Live(LivePath::new(&slide)),
            SlidePath::Scan => Path::Scan(ScanPath::new(&slide)),
        };
        Ok(Self {
            name: settings.name,
            slide,
            path,
            period: settings.rate_hz.map_or(Duration::ZERO, |hz| Duration::from_secs_f64(1.0 / hz)),
            due: Instant::now(),
            count: 0,
            machine_scored: settings.machine_scored,
        })
    }

    /// The next frame.
    fn take(&mut self, stop: &Stop, buffers: &Buffers) -> Result<Capture, SourceError> {
        let settings = self.slide.settings();
        let (width, height, bits) = (settings.width as usize, settings.height as usize, settings.bits);
        let (um_per_px, assay) = (settings.um_per_px, settings.assay);
        let format = if bits > 8 { PixelFormat::Mono16 } else { PixelFormat::Mono8 };
        let Ok(mut buffer) = buffers.take(width * height * format.bytes_per_pixel()) else {
            return Ok(Capture::NoBuffer);
        };
        let samples = if bits > 8 { Samples::Mono16(buffer.words_mut()) } else { Samples::Mono8(buffer.bytes_mut()) };
        let said = assay == Assay::Dicentric && !self.machine_scored;
        let failed = |error: &dyn std::fmt::Display| SourceError::Device(error.to_string());
        let truth = self.slide.render(stop, samples).map_err(|e| failed(&e))?;
        let truth: Arc<[TrueCell]> = truth.cells.iter().map(|cell| ground_truth(cell, said)).collect();
        let pixels = Pixels::new(buffer, format, width, height, bits).map_err(|e| failed(&e))?;
        self.count += 1;
        let info = FrameInfo {
            device_sequence: Some(self.count as u32),
            stage_um: Some(stop.stage),
            um_per_px: Some(um_per_px),
            truth: (!truth.is_empty()).then_some(truth),
            ..FrameInfo::new(self.name.clone(), FrameId(self.count))
        };
        Ok(Capture::Frame(Frame { info, pixels }))
    }
}

impl Source for SimulatorSource {
    fn next(&mut self, buffers: &Buffers) -> Result<Capture, SourceError> {
        let rest = self.due.saturating_duration_since(Instant::now());
        if !rest.is_zero() && (!buffers.wait(rest.min(MAX_WAIT)) || rest > MAX_WAIT) {
            return Ok(Capture::Nothing);
        }
        // A camera that was kept waiting does not catch up in a burst.
        self.due = (self.due + self.period).max(Instant::now());
        let stop = match &mut self.path {
            Path::Live(path) => path.next(&self.slide),
            Path::Scan(path) => path.next(&self.slide),
        };
        match stop {
            Some(stop) => self.take(&stop, buffers),
            None => Ok(Capture::Finished),
        }
    }
}

/// The ground truth of a simulated cell; with its aberrations where they are to be counted.
fn ground_truth(cell: &CellTruth, with_aberrations: bool) -> TrueCell {
    let dicentric = with_aberrations.then(|| {
        let mut counts = AberrationCounts::default();
        for chromosome in &cell.chromosomes {
            match chromosome.centromeres.len() as u32 {
                0 => counts.fragments += 1,
                1 if chromosome.ring => counts.rings += 1,
                1 => counts.monocentrics += 1,
                2 => counts.dicentrics += 1,
                3 => counts.tricentrics += 1,
                more => counts.higher.push(more),
            }
        }
        counts.record([46, 46], Some(true), ScoredBy::Truth)
    });
    let aberrations = cell.chromosomes.iter().filter(|_| with_aberrations).filter_map(|c| {
        let kind = match (c.centromeres.len(), c.ring) {
            (0, _) => PieceKind::Fragment,
            (1, true) => PieceKind::Ring,
            (1, false) => return None,
            (2, _) => PieceKind::Dicentric,
            _ => PieceKind::Tricentric,
        };
        Some((c.bounds, kind))
    });
    let aberrations = aberrations.collect();
    TrueCell { region: cell.region, karyotype: cell.karyotype.clone(), dicentric, aberrations }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shutdown::Shutdown;
    use domain::frame::FramePool;
    use slide::Exposure;

    fn first_cells(machine_scored: bool) -> Arc<[TrueCell]> {
        let slide = SlideSettings {
            assay: Assay::Dicentric,
            exposure: Exposure { dose_gy: 5.0, fraction: 1.0 },
            cells: Some(3),
            ..SlideSettings::default()
        };
        let settings =
            SimulatorSettings { name: "scope".into(), slide, stage: SlidePath::Scan, rate_hz: None, machine_scored };
        let mut source = SimulatorSource::open(settings).expect("a slide");
        let shutdown = Shutdown::default();
        let buffers = Buffers::new(FramePool::new(2), true, shutdown.receiver());
        loop {
            match source.next(&buffers).expect("a frame") {
                Capture::Frame(frame) if frame.info.truth.is_some() => break frame.info.truth.expect("truth"),
                Capture::Finished => panic!("no cell on the slide"),
                _ => {}
            }
        }
    }

    #[test]
    fn what_was_drawn_is_counted_unless_the_machine_is_to_score() {
        let drawn = first_cells(false);
        assert!(drawn.iter().all(|cell| cell.dicentric.as_ref().is_some_and(|d| d.scored_by == ScoredBy::Truth)));
        assert!(drawn.iter().any(|cell| !cell.aberrations.is_empty()), "5 Gy");
        let unsaid = first_cells(true);
        assert_eq!(unsaid.len(), drawn.len());
        assert!(unsaid.iter().all(|cell| cell.dicentric.is_none() && cell.aberrations.is_empty()));
        assert_eq!(unsaid[0].karyotype, drawn[0].karyotype, "the same slide, still known as simulated");
    }
}
