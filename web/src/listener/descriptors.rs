//! File descriptors: raises the limit of the process as far as possible, and divides it between connections and the process
//! itself.
//!
//! A process without descriptors for its files fails, so connections only get what its reserve leaves.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The minimum number of connections that a process must have descriptors for.
const CONNECTIONS_MIN: usize = 16;

/// The limit of open files is too low.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this process may open {limit} files but needs {needed}; raise the limit (`ulimit -n`, or LimitNOFILE= in the systemd unit)"
)]
pub struct TooFewDescriptors {
    /// The limit.
    pub limit: usize,
    /// The number needed.
    pub needed: usize,
}

/// Raises the limit as far as the system permits, and returns how many descriptors connections may use in addition to a reserve.
///
/// # Errors
/// If the limit is too low for the reserve and a few connections.
pub fn for_connections(reserve: usize) -> Result<usize, TooFewDescriptors> {
    left(raise(), reserve)
}

fn left(limit: usize, reserve: usize) -> Result<usize, TooFewDescriptors> {
    let needed = reserve + CONNECTIONS_MIN;
    if limit < needed { Err(TooFewDescriptors { limit, needed }) } else { Ok(limit - reserve) }
}

/// Raises the soft limit to the hard one. Returns the new limit.
fn raise() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // None means no limit.
    let count = |limit: Option<u64>| limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    if count(current) >= count(maximum) {
        return count(current);
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => count(maximum),
        Err(error) => {
            tracing::debug!(%error, "the limit of open files cannot be raised");
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
