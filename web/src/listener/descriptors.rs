//! File descriptors: the limit of the process, raised as far as it goes, and how much of it connections may use.
//!
//! A process that has no descriptor left for its files stops; so connections only get what is left beside the reserve that it states.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The least number of connections that a process is to have descriptors for.
const CONNECTIONS_MIN: usize = 16;

/// The process may not open enough files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this process may open {limit} files, and needs {needed}; raise the limit (`ulimit -n`, or LimitNOFILE= of the systemd unit)"
)]
pub struct TooFewDescriptors {
    /// The limit.
    pub limit: usize,
    /// What is needed.
    pub needed: usize,
}

/// Raises the limit as far as the system lets this process, and returns how many descriptors connections may use beside a reserve.
///
/// # Errors
/// When the limit is too low for the reserve and a few connections.
pub fn for_connections(reserve: usize) -> Result<usize, TooFewDescriptors> {
    left(raise(), reserve)
}

fn left(limit: usize, reserve: usize) -> Result<usize, TooFewDescriptors> {
    let needed = reserve + CONNECTIONS_MIN;
    if limit < needed { Err(TooFewDescriptors { limit, needed }) } else { Ok(limit - reserve) }
}

/// Raises the soft limit to the hard one. Returns what it is then.
fn raise() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // None is no limit.
    let count = |limit: Option<u64>| limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    if count(current) >= count(maximum) {
        return count(current);
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => count(maximum),
        Err(error) => {
            tracing::debug!(%error, "the limit of open files stays as it is");
            count(current)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_get_what_is_left_beside_the_reserve() {
        assert_eq!(left(256, 128), Ok(128));
        assert_eq!(left(144, 128), Ok(16));
        assert_eq!(left(143, 128), Err(TooFewDescriptors { limit: 143, needed: 144 }));
        assert_eq!(left(usize::MAX, 160), Ok(usize::MAX - 160));
    }
}
