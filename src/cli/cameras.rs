//! `cameras`: what there is.

use super::{Exit, Failure, output};

/// Lists the devices of every backend that this build has.
pub fn run() -> Result<Exit, Failure> {
    #[cfg(feature = "webcam")]
    {
        let cameras = crate::camera::list_webcams().map_err(Failure::unavailable)?;
        if cameras.is_empty() {
            eprintln!("no webcam found");
        }
        for camera in cameras {
            output::print(&format!("webcam {camera}"))?;
        }
    }
    #[cfg(not(feature = "webcam"))]
    eprintln!("this build drives no camera: build it with --features webcam for USB cameras");
    output::print("simulator: the virtual slide, always there")?;
    Ok(Exit::Done)
}
