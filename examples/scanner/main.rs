//! A scanner in Rust that lets metaphased find the metaphases of a slide, drives back to each, focuses and takes it: what
//! `scan.py` beside it does, step by step.
//!
//!     cargo run --example scanner -- --metaphased target/release/metaphased --cells 40
//!
//! It starts a daemon in a folder of its own (or uses the one at `--url`) and scans the virtual slide. Put your own stage
//! and camera into the place of [`VirtualMicroscope`]: [`VirtualMicroscope::snap`] is all that the scan asks for.

use std::{
    error::Error,
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Fields of the coarse pass overlap by more than a spread is wide, so that one of them holds it whole.
const OVERLAP_UM: f64 = 110.0;
/// A metaphase that is found lies so close to a true one.
const NEAR_UM: f64 = 20.0;
/// Within the depth of field of an oil objective of aperture 1.3, with some of the chromosomes' own height.
const IN_FOCUS_UM: f64 = 0.6;

/// Scans a slide from end to end.
#[derive(Parser)]
struct Options {
    /// The program.
    #[arg(long, default_value = "metaphased")]
    metaphased: PathBuf,
    /// A running daemon with push sources coarse, focus (both search = true) and fine.
    #[arg(long)]
    url: Option<String>,
    /// Its token.
    #[arg(long)]
    token: Option<String>,
    /// Name of the slide.
    #[arg(long, default_value = "scan-1")]
    slide: String,
    #[arg(long, default_value_t = 20)]
    cells: u32,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Of the camera, in pixels.
    #[arg(long, default_value = "1600x1200")]
    size: String,
    #[arg(long)]
    coarse_only: bool,
}

/// The daemon, over HTTP.
struct Daemon {
    agent: ureq::Agent,
    base: String,
    token: Option<String>,
}

impl Daemon {
    fn new(url: &str, token: Option<String>) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let agent = config.timeout_global(Some(Duration::from_secs(120))).build().into();
        Self { agent, base: format!("{}/api/v1/", url.trim_end_matches('/')), token }
    }

    /// An answer of the API; 429 is waited out, other refusals are errors.
    fn ask(&self, path: &str, query: &[(&str, String)], body: Option<(&str, &[u8])>) -> Result<Value> {
        loop {
            let url = format!("{}{path}", self.base);
            let pairs = query.iter().map(|(name, value)| (*name, value.as_str()));
            let token = self.token.as_ref().map(|token| format!("Bearer {token}")).unwrap_or_default();
            let mut answer = match body {
                None => self.agent.get(url).query_pairs(pairs).header("Authorization", token).call()?,
                Some((kind, bytes)) => {
                    let post = self.agent.post(url).query_pairs(pairs).header("Authorization", token);
                    post.content_type(kind).send(bytes)?
                }
            };
            let status = answer.status().as_u16();
            if status == 429 {
                let seconds = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
                thread::sleep(Duration::from_secs_f64(seconds.unwrap_or(1.0)));
                continue;
            }
            let text = answer.body_mut().read_to_string()?;
            return if status < 400 {
                Ok(serde_json::from_str(&text)?)
            } else {
                Err(format!("{status}: {text}").into())
            };
        }
    }

    /// What came of a frame; waits until it is there.
    fn answer(&self, trigger: &str) -> Result<Value> {
        loop {
            let found = self.ask(&format!("triggers/{}", encoded(trigger)), &[("wait", "30".into())], None)?;
            if found["state"] != "waiting" {
                return Ok(found);
            }
        }
    }
}

fn encoded(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}

/// Stage, objectives and camera over the virtual slide (`metaphased simulate --views`).
struct VirtualMicroscope {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    picture: PathBuf,
    slide: Value,
}

impl VirtualMicroscope {
    fn new(options: &Options, folder: &Path) -> Result<Self> {
        let mut process = Command::new(&options.metaphased)
            .args(["simulate", "--views", "--size", &options.size])
            .args(["--cells", &options.cells.to_string(), "--seed", &options.seed.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(orders), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("no pipes".into());
        };
        let picture = folder.join("view.png");
        let mut microscope = Self { process, orders, answers: BufReader::new(answers), picture, slide: Value::Null };
        microscope.slide = microscope.line()?;
        Ok(microscope)
    }

    fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }

    /// The picture at a place, as PNG, and how far it is out of focus, which no real microscope says.
    fn snap(&mut self, [x, y, z]: [f64; 3], objective: &str) -> Result<(Vec<u8>, f64)> {
        let order = json!({"x": x, "y": y, "z": z, "objective": objective, "out": self.picture});
        writeln!(self.orders, "{order}")?;
        self.orders.flush()?;
        let truth = self.line()?;
        Ok((fs::read(&self.picture)?, truth["defocus_um"].as_f64().unwrap_or(f64::INFINITY)))
    }

    /// Pixel size in micrometres; working objective first, then that of the coarse pass.
    fn um_per_px(&self, objective: &str) -> f64 {
        number(&self.slide["um_per_px"][usize::from(objective == "search")])
    }
}

impl Drop for VirtualMicroscope {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A scan of one slide: coarse pass, focus, fine pass.
struct Scan<'a> {
    daemon: &'a Daemon,
    microscope: VirtualMicroscope,
    slide: &'a str,
    frames: u32,
    /// Where the slide was in focus: x, y, z.
    known: Vec<[f64; 3]>,
}

impl Scan<'_> {
    /// Takes a frame and pushes it; its trigger and how far it is out of focus.
    fn take(&mut self, source: &str, at: [f64; 3], objective: &str, field: &str) -> Result<(String, f64)> {
        let (picture, defocus) = self.microscope.snap(at, objective)?;
        self.frames += 1;
        let trigger = format!("{}/{field}/{}", self.slide, self.frames);
        let said = [
            ("trigger", trigger.clone()),
            ("field", field.into()),
            ("x_um", at[0].to_string()),
            ("y_um", at[1].to_string()),
            ("z_um", at[2].to_string()),
            ("um_per_px", self.microscope.um_per_px(objective).to_string()),
            ("sequence", self.frames.to_string()),
        ];
        self.daemon.ask(&format!("sources/{source}/frames"), &said, Some(("image/png", &picture)))?;
        Ok((trigger, defocus))
    }

    /// Every field of the slide through the search objective.
    fn coarse(&mut self) -> Result<()> {
        let extent: Vec<f64> = (0..4).map(|i| number(&self.microscope.slide["extent_um"][i])).collect();
        let scale = self.microscope.um_per_px("search");
        let steps = [0, 1].map(|i| number(&self.microscope.slide["size"][i]) * scale - OVERLAP_UM);
        let places = |axis: usize| {
            let (low, high) = (extent[axis], extent[axis + 2]);
            let count = ((high - low) / steps[axis]).ceil().max(0.0) as u32 + 1;
            (0..count.max(1)).map(move |n| low + steps[axis] * f64::from(n)).collect::<Vec<_>>()
        };
        let mut triggers = Vec::new();
        for (row, y) in places(1).into_iter().enumerate() {
            for (column, x) in places(0).into_iter().enumerate() {
                let field = format!("coarse-{row}-{column}");
                triggers.push(self.take("coarse", [x, y, 0.0], "search", &field)?.0);
            }
        }
        triggers.iter().try_for_each(|trigger| self.daemon.answer(trigger).map(drop))
    }

    /// Where the slide should be in focus: the plane through the places that are known, or the nearest.
    fn height(&self, x: f64, y: f64) -> f64 {
        let far = |k: &[f64; 3]| (k[0] - x).hypot(k[1] - y);
        if self.known.len() < 4 {
            return self.known.iter().min_by(|a, b| far(a).total_cmp(&far(b))).map_or(0.0, |k| k[2]);
        }
        // Least squares of z = a + b x + c y, by Cramer's rule about the mean.
        let n = self.known.len() as f64;
        let mean = [0, 1, 2].map(|i| self.known.iter().map(|k| k[i]).sum::<f64>() / n);
        let dot = |i: usize, j: usize| self.known.iter().map(|k| (k[i] - mean[i]) * (k[j] - mean[j])).sum::<f64>();
        let (xx, yy, xy, xz, yz) = (dot(0, 0), dot(1, 1), dot(0, 1), dot(0, 2), dot(1, 2));
        let det = xx * yy - xy * xy;
        if det < 1e-6 * xx * yy + 1e-9 {
            return mean[2];
        }
        mean[2] + (xz * yy - yz * xy) / det * (x - mean[0]) + (yz * xx - xz * xy) / det * (y - mean[1])
    }

    /// Focus at each height: the score of triage, 0 where it sees no metaphase; and the place that it sees.
    fn stack(&mut self, [x, y]: [f64; 2], heights: &[f64], field: &str) -> Result<(Vec<(f64, f64)>, Option<[f64; 2]>)> {
        let taken = heights.iter().map(|z| Ok((*z, self.take("focus", [x, y, *z], "working", field)?.0)));
        let taken = taken.collect::<Result<Vec<_>>>()?;
        let (mut scores, mut best, mut place) = (Vec::new(), 0.0, None);
        for (z, trigger) in taken {
            let found = self.daemon.answer(&trigger)?;
            let quality = &found["quality"];
            let score = if number(&quality["metaphase"]) > 0.0 { number(&quality["focus"]) } else { 0.0 };
            if found["state"] == "found" && score > best {
                let seen = found["metaphases"].as_array().into_iter().flatten().map(|m| position(&m["stage_um"]));
                place = seen.min_by(|a, b| distance(*a, [x, y]).total_cmp(&distance(*b, [x, y])));
                best = score;
            }
            scores.push((z, score));
        }
        Ok((scores, place))
    }

    /// Focuses on a metaphase and takes it: what `take` gives, none where nothing is seen.
    fn fine(&mut self, mut at: [f64; 2], field: &str) -> Result<Option<(String, f64)>> {
        let z = self.height(at[0], at[1]);
        let spans: &[(i32, f64)] = if self.known.is_empty() { &[(5, 2.0)] } else { &[(3, 1.0), (5, 2.0)] };
        let mut sharp = None;
        for (steps, step) in spans {
            let heights: Vec<f64> = (-steps..=*steps).map(|n| z + step * f64::from(n)).collect();
            let (scores, place) = self.stack(at, &heights, field)?;
            sharp = sharpest(&scores).map(|sharp| (sharp, place));
            if sharp.is_some_and(|(sharp, _)| heights[0] < sharp && sharp < heights[heights.len() - 1]) {
                break;
            }
        }
        let Some((sharp, place)) = sharp else { return Ok(None) };
        at = place.unwrap_or(at);
        let heights: Vec<f64> = (-3..=3).map(|n| sharp + 0.4 * f64::from(n)).collect();
        let (scores, _) = self.stack(at, &heights, field)?;
        let z = sharpest(&scores).unwrap_or(sharp);
        self.known.push([at[0], at[1], z]);
        self.take("fine", [at[0], at[1], z], "working", field).map(Some)
    }
}

/// The height of the best focus, of several that are as good the middle; none where nothing was seen.
fn sharpest(scores: &[(f64, f64)]) -> Option<f64> {
    let best = scores.iter().map(|(_, score)| *score).fold(0.0, f64::max);
    let good = || scores.iter().filter(|(_, score)| *score >= 0.97 * best);
    (best > 0.0).then(|| good().map(|(z, score)| z * score).sum::<f64>() / good().map(|(_, score)| score).sum::<f64>())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

fn position(value: &Value) -> [f64; 2] {
    [number(&value["x"]), number(&value["y"])]
}

fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// A daemon in a folder of its own, which ends with this, and its address.
struct Started(Child, String);

impl Started {
    fn new(program: &Path, folder: &Path) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let source = |name| format!("[source.{name}]\nkind = \"push\"\nsearch = {}\n", name != "fine");
        let store = folder.join("store");
        let rest = format!("[store]\npath = {store:?}\n[web]\nlisten = \"{address}\"\n[mqtt]\nurl = \"off\"\n");
        let config = folder.join("metaphased.toml");
        fs::write(&config, ["coarse", "focus", "fine"].map(source).concat() + &rest)?;
        let log = fs::File::create(folder.join("log"))?;
        let process = Command::new(program).arg("--config").arg(&config).stderr(log).spawn()?;
        let mut started = Self(process, format!("http://{address}"));
        for _ in 0..600 {
            if ureq::get(format!("{}/readyz", started.1)).call().is_ok() {
                return Ok(started);
            }
            if started.0.try_wait()?.is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
        Err(format!("the daemon does not start:\n{}", fs::read_to_string(folder.join("log"))?).into())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    let folder = tempfile::tempdir()?;
    let began = Instant::now();
    let started = match options.url {
        None => Some(Started::new(&options.metaphased, folder.path())?),
        Some(_) => None,
    };
    let url = options.url.as_ref().or(started.as_ref().map(|started| &started.1)).ok_or("no address")?;
    let daemon = Daemon::new(url, options.token.clone());
    let case = json!({"case": options.slide, "slide": options.slide}).to_string();
    daemon.ask("commands/case", &[], Some(("application/json", case.as_bytes())))?;
    let microscope = VirtualMicroscope::new(&options, folder.path())?;
    let mut scan = Scan { daemon: &daemon, microscope, slide: &options.slide, frames: 0, known: Vec::new() };
    scan.coarse()?;
    // The slide's document is made once a second.
    thread::sleep(Duration::from_millis(2500));
    let found = daemon.ask(&format!("slides/{}", encoded(&options.slide)), &[], None)?;
    let places = found["metaphases"].as_array().cloned().unwrap_or_default();
    let mut taken = Vec::new();
    for place in places.iter().filter(|_| !options.coarse_only) {
        taken.extend(scan.fine(position(&place["stage_um"]), &format!("metaphase-{}", place["rank"]))?);
    }
    let answers = taken.iter().map(|(trigger, _)| daemon.answer(trigger)).collect::<Result<Vec<_>>>()?;

    let truth: Vec<[f64; 2]> =
        scan.microscope.slide["metaphases"].as_array().into_iter().flatten().map(position).collect();
    let places: Vec<[f64; 2]> = places.iter().map(|place| position(&place["stage_um"])).collect();
    let is_near = |all: &[[f64; 2]], one: &[f64; 2]| all.iter().any(|other| distance(*other, *one) < NEAR_UM);
    let hits = truth.iter().filter(|one| is_near(&places, one)).count();
    let foreign = places.iter().filter(|one| !is_near(&truth, one)).count();
    let sharp = taken.iter().filter(|(_, defocus)| defocus.abs() <= IN_FOCUS_UM).count();
    let cells = answers.iter().filter(|answer| answer["state"] == "cell").count();
    println!("metaphases on the slide   {}", truth.len());
    println!("found by the coarse pass  {hits}, {foreign} places without one");
    println!("taken by the fine pass    {}, in focus (within {IN_FOCUS_UM} um) {sharp}", taken.len());
    println!("recognised                {cells}");
    println!("frames                    {} in {:.0} s", scan.frames, began.elapsed().as_secs_f64());
    Ok(())
}
