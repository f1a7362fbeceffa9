//! The probe: measures the complete floor of a machine, for comparison with a run.
//!
//! A shared machine changes from one second to the next, so every rate is measured in alternating rounds, and its median counts.
//! Everything that does not need an engine is measured without one, with the engine's own frames, client and redb settings.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::floor::{Echo, FloorError, raw_append, redb_commit};

/// The payload of an echoed frame: that of a redemption of a 12-character code, with its request id.
pub const FRAME_PAYLOAD: usize = 56;

/// The bytes of one record among those that are committed together.
const RECORD_BYTES: usize = 64;

/// The sizes that are appended and flushed: a page, and typical batches.
const APPEND_BYTES: [usize; 3] = [4 << 10, 64 << 10, 1 << 20];

/// How many records are committed as one row.
const COMMIT_RECORDS: [usize; 4] = [1, 64, 1_024, 8_192];

/// How much is measured. Every step has an end: by default at most 400 MiB are written in a round, and removed afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The number of rounds.
    pub rounds: usize,
    /// How often in each round the smallest append and the smallest commit are made, and a frame is echoed alone. Larger ones are
    /// made less often.
    pub times: usize,
    /// How long each of these may take in a round. A slower disk is measured less often.
    pub within: Duration,
    /// How many frames are echoed in each round with each window.
    pub frames: usize,
    /// With how many frames in flight.
    pub windows: Vec<usize>,
}

impl Probe {
    /// Some ten seconds, for measuring the floor alone.
    pub fn full() -> Probe {
        let windows = vec![1_024, 4_096, 16_384];
        Probe { rounds: 3, times: 1_000, within: Duration::from_secs(2), frames: 1_000_000, windows }
    }

    /// A second or two, and some five on a slow disk, for the floor beside a run.
    pub fn quick() -> Probe {
        Probe { rounds: 3, times: 200, within: Duration::from_millis(200), ..Probe::full() }
    }

    /// Measures the floor of the disk that a folder is on, and of the network stack. Calls `progress` with the next step.
    ///
    /// # Errors
    /// When the disk refuses, or the echo cannot be reached or ends.
    pub async fn run(&self, dir: &Path, progress: &mut dyn FnMut(&str)) -> Result<Floor, FloorError> {
        let mut appends = APPEND_BYTES.map(|_| Rounds::default());
        let mut commits = COMMIT_RECORDS.map(|_| Rounds::default());
        let mut alone = Rounds::default();
        let mut pipelined = vec![Rounds::default(); self.windows.len()];

        progress("the disk: appends with their flush, and redb's commits");
        for _ in 0..self.rounds {
            for (rounds, bytes) in appends.iter_mut().zip(APPEND_BYTES) {
                let (times, within) = (self.times_of(bytes, APPEND_BYTES[0]), self.within);
                rounds.add(bytes, on_disk(dir, move |dir| raw_append(&dir, bytes, times, within)).await?);
            }
            for (rounds, records) in commits.iter_mut().zip(COMMIT_RECORDS) {
                let (times, within) = (self.times_of(records, 64), self.within);
                let bytes = records * RECORD_BYTES;
                rounds.add(records, on_disk(dir, move |dir| redb_commit(&dir, bytes, times, within)).await?);
            }
        }
        progress("the network stack: frames echoed over QUIC on loopback");
        let mut echo = Echo::start().await?;
        // Not counted: a connection and its buffers grow into a load.
        let widest = self.windows.iter().copied().max().unwrap_or(1);
        echo.frames(self.frames, FRAME_PAYLOAD, widest).await?;
        for _ in 0..self.rounds {
            alone.add(1, echo.alone(self.times, FRAME_PAYLOAD).await?);
            for (rounds, window) in pipelined.iter_mut().zip(&self.windows) {
                rounds.add(self.frames, vec![echo.frames(self.frames, FRAME_PAYLOAD, *window).await?]);
            }
        }
        echo.stop().await;

        Ok(Floor {
            rounds: self.rounds,
            appends: appends.iter().zip(APPEND_BYTES).map(|(rounds, bytes)| rounds.append(bytes)).collect(),
            commits: commits.iter().zip(COMMIT_RECORDS).map(|(rounds, records)| rounds.commit(records)).collect(),
            echo: EchoFloor {
                payload_bytes: FRAME_PAYLOAD,
                times: alone.times.len(),
                alone_p50_us: alone.quantile_us(0.5),
                alone_p99_us: alone.quantile_us(0.99),
                pipelined: pipelined.iter().zip(&self.windows).map(|(rounds, window)| rounds.pipelined(*window)).collect(),
            },
        })
    }

    /// Large steps are made less often: for 64 times the size an eighth as often.
    fn times_of(&self, size: usize, unit: usize) -> usize {
        (self.times / (size / unit).max(1).isqrt()).max(1)
    }
}

/// What a machine does at best, without an engine.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Floor {
    /// How many rounds each was measured in.
    pub rounds: usize,
    /// Appends to a file, each flushed.
    pub appends: Vec<AppendFloor>,
    /// Commits to redb, each of one row.
    pub commits: Vec<CommitFloor>,
    /// Frames echoed over QUIC.
    pub echo: EchoFloor,
}

/// An append of so many bytes and its flush (`fdatasync`).
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AppendFloor {
    /// The bytes appended.
    pub bytes: usize,
    /// How often, in all rounds.
    pub times: usize,
    /// How long it took at the median of all, in microseconds.
    pub p50_us: f64,
    /// The 99th percentile.
    pub p99_us: f64,
    /// Bytes per second.
    pub bytes_per_second: Spread,
}

/// A commit to redb of one row that holds so many records, as the journal writes a batch.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CommitFloor {
    /// Records in the row.
    pub records: usize,
    /// Bytes of the row.
    pub row_bytes: usize,
    /// How often, in all rounds.
    pub times: usize,
    /// How long it took at the median of all, in microseconds.
    pub p50_us: f64,
    /// The 99th percentile.
    pub p99_us: f64,
    /// Records per second.
    pub records_per_second: Spread,
}

/// Frames echoed over one QUIC lane on loopback, with the client that calls an engine.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct EchoFloor {
    /// The payload of a frame.
    pub payload_bytes: usize,
    /// How many frames were echoed alone, in all rounds.
    pub times: usize,
    /// How long one took alone at the median of all, in microseconds.
    pub alone_p50_us: f64,
    /// The 99th percentile.
    pub alone_p99_us: f64,
    /// The rate with many in flight.
    pub pipelined: Vec<PipelinedEcho>,
}

/// The rate of frames with so many in flight.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PipelinedEcho {
    /// Frames in flight.
    pub window: usize,
    /// Frames per second.
    pub frames_per_second: Spread,
}

/// A rate in several rounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Spread {
    /// In the middle one; between both where their number is even.
    pub median: f64,
    /// In the worst.
    pub lowest: f64,
    /// In the best.
    pub highest: f64,
}

impl Floor {
    /// The least time of a request alone, in microseconds: the echo of a frame, and the commit of one record.
    pub fn alone_us(&self) -> f64 {
        let commit = self.commits.iter().min_by_key(|commit| commit.records);
        self.echo.alone_p50_us + commit.map_or(0.0, |commit| commit.p50_us)
    }
}

impl EchoFloor {
    /// The rate with whatever window was fastest.
    pub fn limit_per_second(&self) -> f64 {
        self.pipelined.iter().map(|echo| echo.frames_per_second.median).fold(0.0, f64::max)
    }
}

/// Runs a step that blocks in a folder of its own on the disk to be measured, removed afterwards.
async fn on_disk(
    dir: &Path,
    step: impl FnOnce(PathBuf) -> Result<Vec<Duration>, FloorError> + Send + 'static,
) -> Result<Vec<Duration>, FloorError> {
    let own = tempfile::tempdir_in(dir)?;
    let path = own.path().to_owned();
    tokio::task::spawn_blocking(move || step(path)).await?
}

/// What the rounds of one measurement took.
#[derive(Debug, Clone, Default)]
struct Rounds {
    times: Vec<Duration>,
    per_second: Vec<f64>,
}

impl Rounds {
    /// Adds a round in which `amount` was done in each of the times.
    fn add(&mut self, amount: usize, times: Vec<Duration>) {
        let took: Duration = times.iter().sum();
        // A clock that did not move has no rate to tell.
        self.per_second.extend((!took.is_zero()).then(|| (amount * times.len()) as f64 / took.as_secs_f64()));
        self.per_second.sort_by(f64::total_cmp);
        self.times.extend(times);
        self.times.sort_unstable();
    }

    fn quantile_us(&self, quantile: f64) -> f64 {
        let at = (self.times.len() as f64 * quantile) as usize;
        self.times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    }

    fn spread(&self) -> Spread {
        let at = |at: usize| self.per_second.get(at).copied().unwrap_or_default();
        let count = self.per_second.len();
        let median = (at(count.saturating_sub(1) / 2) + at(count / 2)) / 2.0;
        Spread { median, lowest: at(0), highest: at(count.saturating_sub(1)) }
    }

    fn append(&self, bytes: usize) -> AppendFloor {
        AppendFloor {
            bytes,
            times: self.times.len(),
            p50_us: self.quantile_us(0.5),
            p99_us: self.quantile_us(0.99),
            bytes_per_second: self.spread(),
        }
    }

    fn commit(&self, records: usize) -> CommitFloor {
        CommitFloor {
            records,
            row_bytes: records * RECORD_BYTES,
            times: self.times.len(),
            p50_us: self.quantile_us(0.5),
            p99_us: self.quantile_us(0.99),
            records_per_second: self.spread(),
        }
    }

    fn pipelined(&self, window: usize) -> PipelinedEcho {
        PipelinedEcho { window, frames_per_second: self.spread() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_of_the_rounds_and_quantiles_are_of_all_times() {
        let mut rounds = Rounds::default();
        for ms in [4, 1, 2] {
            rounds.add(1, vec![Duration::from_millis(ms)]);
        }
        assert_eq!(rounds.spread(), Spread { median: 500.0, lowest: 250.0, highest: 1000.0 });
        assert_eq!((rounds.quantile_us(0.5), rounds.quantile_us(0.99)), (2_000.0, 4_000.0));
        rounds.add(2, vec![Duration::from_millis(5), Duration::from_millis(5)]);
        assert_eq!(rounds.spread().median, 450.0, "between 400 and 500");
        assert_eq!(Rounds::default().append(1).p50_us, 0.0);
    }

    #[test]
    fn large_steps_are_made_less_often_and_once_at_least() {
        let probe = Probe { times: 1_000, ..Probe::full() };
        assert_eq!(APPEND_BYTES.map(|bytes| probe.times_of(bytes, APPEND_BYTES[0])), [1_000, 250, 62]);
        assert_eq!(COMMIT_RECORDS.map(|records| probe.times_of(records, 64)), [1_000, 1_000, 250, 90]);
        assert_eq!(Probe { times: 1, ..probe }.times_of(1 << 20, 4096), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_probe_measures_every_part() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let probe = Probe { rounds: 2, times: 3, within: Duration::from_secs(60), frames: 50, windows: vec![8, 16] };
        let mut steps = 0;
        let floor = probe.run(dir.path(), &mut |_| steps += 1).await.expect("this machine has a disk and loopback");
        assert_eq!((floor.appends.len(), floor.commits.len(), floor.echo.pipelined.len(), steps), (3, 4, 2, 2));
        assert!(floor.appends.iter().all(|append| append.p50_us > 0.0 && append.bytes_per_second.lowest > 0.0), "{floor:?}");
        assert!(floor.commits.iter().all(|commit| commit.p50_us > 0.0 && commit.records_per_second.lowest > 0.0), "{floor:?}");
        assert!(floor.echo.alone_p99_us >= floor.echo.alone_p50_us && floor.echo.limit_per_second() > 0.0, "{floor:?}");
        assert_eq!((floor.appends[0].times, floor.echo.times), (6, 6));
        assert_eq!(std::fs::read_dir(dir.path()).expect("it is a folder").count(), 0, "it leaves nothing behind");
    }
}
