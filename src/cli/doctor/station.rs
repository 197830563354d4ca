//! What `doctor` says of the station itself: a running daemon, its page and broker ports, the store and its disk.

use std::{
    fs::{File, TryLockError},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access, statvfs};

use super::Findings;
use crate::{
    cli::{run::state_folder, status::running},
    config::Config,
    store::StoreReader,
    web::{DEFAULT_PORT, WebOptions},
};

/// Below this a store soon stops: its database alone grows by some 100 kB a cell.
const LEAST_FREE: u64 = 512 << 20;
/// First port of the embedded broker where none is configured.
const BROKER_PORT: u16 = 1883;

/// Adds what there is to say.
pub(super) fn examine(findings: &mut Findings, config: &Config) {
    findings.heading("Station");
    let runs = page(findings, config);
    broker_port(findings, config, runs);
    store(findings, config);
}

/// The running daemon, or the port that its page would take. True when one runs.
fn page(findings: &mut Findings, config: &Config) -> bool {
    let options = match WebOptions::from_config(&config.web) {
        Ok(Some(options)) => options,
        Ok(None) => {
            findings.good("page: off (web.listen), so a running daemon cannot be asked");
            return false;
        }
        Err(error) => {
            findings.bad(error.to_string());
            return false;
        }
    };
    match running(&options) {
        Ok(Some((url, status))) => {
            let birth = &status.birth;
            findings.good(format!("running: station {}, metaphased {}, page {url}", birth.station, birth.version));
            return true;
        }
        Ok(None) => findings.absent("no daemon runs; start it with 'metaphased'"),
        Err(failure) => findings.absent(format!("a daemon cannot be asked: {failure}")),
    }
    match options.listen {
        Some(address) => match TcpListener::bind(address) {
            Ok(_) => findings.good(format!("page: {address} is free")),
            Err(error) => findings.bad(format!("page: web.listen {address} cannot be taken: {error}")),
        },
        None if free(DEFAULT_PORT) => findings.good(format!("page: port {DEFAULT_PORT} is free")),
        None => findings.good(format!("page: port {DEFAULT_PORT} is taken; the next free one will be used")),
    }
    false
}

fn free(port: u16) -> bool {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_ok()
}

/// The port of the embedded broker, which a running daemon holds itself.
fn broker_port(findings: &mut Findings, config: &Config, runs: bool) {
    if config.mqtt.url != "embedded" || runs {
        return;
    }
    match config.mqtt.embedded_port {
        Some(port) if free(port) => findings.good(format!("broker: port {port} is free")),
        Some(port) => findings.bad(format!("broker: mqtt.embedded_port {port} is taken by another program")),
        None if free(BROKER_PORT) => findings.good(format!("broker: port {BROKER_PORT} is free")),
        None => findings.good(format!("broker: port {BROKER_PORT} is taken; the next free one will be used")),
    }
}

/// What the store holds, whether it can be written, and how much the disk still takes.
fn store(findings: &mut Findings, config: &Config) {
    let folder = match state_folder(config) {
        Ok(folder) => folder,
        Err(failure) => return findings.bad(failure.to_string()),
    };
    let shown = folder.display();
    match StoreReader::open(&folder).and_then(|reader| reader.cases()) {
        Ok(cases) => {
            let cells: u64 = cases.iter().map(|case| case.cells).sum();
            let held = if in_use(&folder) { ", in use by a daemon" } else { "" };
            findings.good(format!("store: {shown}: {} cases with {cells} cells{held}", cases.len()));
        }
        Err(_) if !folder.join("metaphased.db").exists() => {
            findings.absent(format!("store: none yet; the first start makes it in {shown}"));
        }
        Err(error) => findings.bad(error.to_string()),
    }
    let there = nearest(&folder);
    if access(&there, Access::WRITE_OK).is_err() {
        findings.bad(format!("store: {} cannot be written by this user", there.display()));
    }
    disk(findings, config, &there);
}

/// The folder itself, or the nearest one above it that exists.
fn nearest(folder: &Path) -> PathBuf {
    let there = folder.ancestors().find(|path| path.is_dir());
    there.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf()
}

/// Whether another process holds the store's lock.
fn in_use(folder: &Path) -> bool {
    File::open(folder.join("lock")).is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

fn disk(findings: &mut Findings, config: &Config, folder: &Path) {
    let free = match statvfs(folder) {
        Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
        Err(error) => return findings.bad(format!("disk: {}: {error}", folder.display())),
    };
    let gib = free as f64 / f64::from(1 << 30);
    if free < LEAST_FREE {
        findings.bad(format!("disk: {gib:.1} GiB free at {}: free some space, or move store.path", folder.display()));
    } else if config.store.quota_bytes().is_some_and(|quota| quota > free) {
        findings
            .good(format!("disk: {gib:.1} GiB free, less than store.quota ({}) may come to take", config.store.quota));
    } else {
        findings.good(format!("disk: {gib:.1} GiB free, store.quota {}", config.store.quota));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_not_there_yet_is_sought_in_the_folder_above() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(nearest(&folder.path().join("a/b")), folder.path());
        assert_eq!(nearest(Path::new("not-there")), Path::new("."));
    }

    #[test]
    fn a_configured_port_that_another_program_holds_is_wrong() {
        let held = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = held.local_addr().expect("its address");
        let mut config = Config::default();
        config.web.listen = Some(address.to_string());
        config.mqtt.embedded_port = Some(address.port());
        let mut findings = Findings::default();
        let runs = page(&mut findings, &config);
        broker_port(&mut findings, &config, runs);
        assert!(!runs);
        assert_eq!(findings.broken.len(), 2, "{}", findings.text);
        assert!(findings.broken[0].contains("web.listen"), "{}", findings.text);
    }
}
