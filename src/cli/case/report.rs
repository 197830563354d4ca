//! `case report` and `case layout`: the report of a case as a file, and the layout that a laboratory starts from.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use clap::Args;
use jiff::Timestamp;

use crate::{
    case::report::{Gathered, Layout, Report, TEMPLATES},
    cli::{Exit, Failure},
    config::Config,
    laboratory::{Laboratory, SETTINGS, settings_with_every_word},
    mqtt::encode_level,
    store::{StoreError, StoreReader},
};
use dosimetry::Subject;

/// Programs that print a page, the first that is found.
const BROWSERS: [&str; 5] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
/// How long one may take.
const PRINTING: Duration = Duration::from_secs(120);

/// Arguments of `case report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The case.
    id: String,
    /// The file; by default report-ID.html or report-ID.pdf.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// As PDF, printed by a Chromium of this machine; without one the HTML is written, and the exit code is 69.
    #[arg(long)]
    pdf: bool,
    /// The laboratory's folder; by default report.folder of the configuration.
    #[arg(long, value_name = "DIR")]
    layout: Option<PathBuf>,
}

/// The report of a gathered case.
pub fn html(config: &Config, gathered: &Gathered, layout: &Layout) -> Result<String, Failure> {
    let subject = gathered.case.subject.as_deref().and_then(|text| serde_json::from_str::<Subject>(text).ok());
    Ok(report(config, gathered, subject.as_ref(), &Timestamp::now().to_string()).html(layout, None)?)
}

/// What the report is made from.
pub fn report<'a>(
    config: &'a Config,
    gathered: &'a Gathered,
    subject: Option<&'a Subject>,
    printed: &'a str,
) -> Report<'a> {
    let version = env!("CARGO_PKG_VERSION");
    Report { station: &config.station, version, configuration: None, printed, gathered, subject }
}

/// The layout that the configuration names, or `folder`.
pub fn layout(config: &Config, folder: Option<&Path>) -> Result<Layout, Failure> {
    Ok(Layout::new(Laboratory::read(folder.or(config.report.folder.as_deref()))?)?)
}

impl ReportArgs {
    pub fn run(self, config: &Config, store: &StoreReader) -> Result<Exit, Failure> {
        let gathered = Gathered::read(store, &self.id)?.ok_or_else(|| StoreError::NoSuchCase(self.id.clone()))?;
        let html = html(config, &gathered, &layout(config, self.layout.as_deref())?)?;
        let named = |ending: &str| PathBuf::from(format!("report-{}.{ending}", encode_level(&self.id)));
        if !self.pdf {
            return write(&self.out.unwrap_or_else(|| named("html")), &html);
        }
        let pdf = self.out.unwrap_or_else(|| named("pdf"));
        let Some(browser) = browser() else {
            let page = pdf.with_extension("html");
            write(&page, &html)?;
            return Err(Failure::unavailable(format!(
                "no PDF: none of {} is in the PATH; print {} in a browser, or install one (Debian: apt-get install chromium)",
                BROWSERS.join(", "),
                page.display()
            )));
        };
        print(&browser, &html, &pdf)?;
        eprintln!("{}", pdf.display());
        Ok(Exit::Done)
    }
}

fn write(file: &Path, text: &str) -> Result<Exit, Failure> {
    fs::write(file, text).map_err(|error| Failure::writing(file, error))?;
    eprintln!("{}", file.display());
    Ok(Exit::Done)
}

fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    BROWSERS.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|file| file.is_file())
}

/// Has the browser print a page to `pdf`. The file is there as a whole or not at all.
fn print(browser: &Path, html: &str, pdf: &Path) -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("metaphased-report-{}", uuid::Uuid::now_v7()));
    fs::create_dir(&folder).map_err(|error| Failure::writing(&folder, error))?;
    let made = print_in(&folder, browser, html, pdf);
    let _ = fs::remove_dir_all(&folder);
    made
}

fn print_in(folder: &Path, browser: &Path, html: &str, pdf: &Path) -> Result<(), Failure> {
    let (page, made) = (folder.join("report.html"), folder.join("report.pdf"));
    fs::write(&page, html).map_err(|error| Failure::writing(&page, error))?;
    let mut command = Command::new(browser);
    command
        .args(["--headless", "--disable-gpu", "--no-first-run", "--no-pdf-header-footer", "--disable-dev-shm-usage"])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("--print-to-pdf={}", made.display()));
    if rustix::process::geteuid().is_root() {
        // It has no sandbox for root; the page is our own and holds no script.
        command.arg("--no-sandbox");
    }
    command.arg(format!("file://{}", page.display())).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let failed = |why: String| Failure::unavailable(format!("no PDF: {} {why}", browser.display()));
    let mut child = command.spawn().map_err(|error| failed(format!("cannot be started: {error}")))?;
    let began = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|error| failed(error.to_string()))? {
            Some(status) => break status,
            None if began.elapsed() > PRINTING => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed(format!("did not finish within {} s", PRINTING.as_secs())));
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    let bytes = fs::read(&made).ok().filter(|bytes| status.success() && bytes.starts_with(b"%PDF-"));
    let bytes = bytes.ok_or_else(|| failed(format!("printed nothing ({status})")))?;
    // Beside it first, so that a full disk leaves no half of a report.
    let part = pdf.with_extension("pdf.part");
    let written = fs::write(&part, bytes).and_then(|()| fs::rename(&part, pdf));
    written.map_err(|error| {
        let _ = fs::remove_file(&part);
        Failure::writing(pdf, error)
    })
}

/// Writes the built-in layout to a folder, for a laboratory to change. Nothing that is there is overwritten.
pub fn write_layout(config: &Config, folder: &Path, language: &str) -> Result<Exit, Failure> {
    let settings = settings_with_every_word(language)
        .ok_or_else(|| Failure::usage(format!("invalid language '{language}': expected en or de")))?;
    fs::create_dir_all(folder).map_err(|error| Failure::writing(folder, error))?;
    let files = TEMPLATES.iter().map(|(name, text)| (*name, (*text).to_owned()));
    for (name, text) in files.chain([(SETTINGS, settings)]) {
        let path = folder.join(name);
        let mut file = fs::File::create_new(&path)
            .map_err(|error| Failure::writing(&path, format!("{error}; nothing is overwritten")))?;
        std::io::Write::write_all(&mut file, text.as_bytes()).map_err(|error| Failure::writing(&path, error))?;
    }
    layout(config, Some(folder))?;
    eprintln!("{}: keep what you change, delete the rest; name the folder in report.folder", folder.display());
    Ok(Exit::Done)
}
