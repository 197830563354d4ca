//! Handles of the process (open files and sockets): enough at the start, and some kept for sources and store.

use domain::ErrorKind;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::StartError;

/// What the daemon itself opens: log, database and its readers, broker, runtime, networks.
const OWN: u64 = 40;
/// What a source opens: its folder, its notices, a file.
const EACH_SOURCE: u64 = 4;
/// Connections to the page with which it can be used.
const CONNECTIONS: u64 = 8;

/// Raises the limit as far as the system allows, and gives how many connections the page may have.
///
/// # Errors
/// When there are too few handles, with the number that is needed.
pub fn claim(sources: usize) -> Result<usize, StartError> {
    let limit = getrlimit(Resource::Nofile);
    let Rlimit { current: Some(soft), maximum } = limit else { return Ok(usize::MAX) };
    let hard = maximum.unwrap_or(1 << 20);
    if soft < hard && setrlimit(Resource::Nofile, Rlimit { current: Some(hard), maximum }).is_err() {
        return connections(soft, sources);
    }
    connections(hard.max(soft), sources)
}

fn connections(limit: u64, sources: usize) -> Result<usize, StartError> {
    let own = OWN + EACH_SOURCE * sources as u64;
    let needed = own + CONNECTIONS;
    if limit < needed {
        return Err(StartError::new(
            ErrorKind::Unavailable,
            format!(
                "the process may open {limit} files and sockets and needs {needed}: raise the limit (ulimit -n {needed}, \
                 or LimitNOFILE={needed} in the unit)"
            ),
        ));
    }
    Ok(usize::try_from(limit - own).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_handles_for_sources_and_store() {
        let error = connections(20, 1).expect_err("too few");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("needs 52"), "{error}");
        assert_eq!(connections(52, 1).ok(), Some(8));
        assert_eq!(connections(1024, 4).ok(), Some(968));
    }
}
