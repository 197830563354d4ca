//! How fast the virtual slide is drawn: fields a second on one core, 1360 x 1024, by stain.

use std::time::Instant;

use domain::Stain;
use slide::{LivePath, Samples, ScanPath, SlideSettings, VirtualSlide};

use crate::Outcome;

/// Measures and prints.
pub fn run() -> Outcome {
    let mut samples = vec![0u8; 1360 * 1024];
    for stain in [Stain::GBand, Stain::Giemsa, Stain::Dapi, Stain::QBand] {
        let settings = SlideSettings { stain, cells: Some(50), ..SlideSettings::default() };
        let mut slide = VirtualSlide::new(settings)?;
        let mut rates = [0.0; 2];
        for (rate, live) in rates.iter_mut().zip([false, true]) {
            let (mut scan, mut person) = (ScanPath::new(&slide), LivePath::new(&slide));
            let start = Instant::now();
            let mut fields = 0;
            while let Some(stop) = if live { person.next(&slide) } else { scan.next(&slide) } {
                slide.render(&stop, Samples::Mono8(&mut samples))?;
                fields += 1;
                if fields == 100 {
                    break;
                }
            }
            *rate = f64::from(fields) / start.elapsed().as_secs_f64();
        }
        println!("{}: {:.1} fields/s scanning, {:.1} frames/s live", stain.name(), rates[0], rates[1]);
    }
    Ok(())
}
