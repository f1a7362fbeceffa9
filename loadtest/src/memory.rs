//! The memory of this process while something runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

/// How many samples are kept: enough for a curve. Beyond it every second one is dropped, and half as many are taken.
const SAMPLES_MAX: usize = 1_000;

/// How much of the process was in memory, and when.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Resident {
    /// Milliseconds since the watch began.
    pub at_ms: f64,
    /// Bytes.
    pub bytes: u64,
}

/// Bytes of this process that are in memory, if the system reports it.
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    crate::machine::kibibytes(&status, "VmRSS:")
}

/// Samples the memory of this process until it is ended or dropped.
pub struct Watch {
    began: Instant,
    taken: Arc<Mutex<Vec<Resident>>>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Begins, on the runtime that this is called on, with a sample at once and then after each `every`.
    pub fn start(every: Duration) -> Watch {
        let began = Instant::now();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let samples = taken.clone();
        let task = tokio::spawn(async move {
            let mut every = every;
            loop {
                let count = add_sample(&mut samples.lock().unwrap_or_else(PoisonError::into_inner), began);
                if count >= SAMPLES_MAX {
                    every *= 2;
                    let mut is_kept = false;
                    samples.lock().unwrap_or_else(PoisonError::into_inner).retain(|_| {
                        is_kept = !is_kept;
                        is_kept
                    });
                }
                tokio::time::sleep(every).await;
            }
        });
        Watch { began, taken, task }
    }

    /// Ends it with a last sample, and returns all in the order of their time. Empty if the system does not report it.
    pub fn end(self) -> Vec<Resident> {
        self.task.abort();
        let mut samples = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        add_sample(&mut samples, self.began);
        std::mem::take(&mut samples)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn add_sample(samples: &mut Vec<Resident>, began: Instant) -> usize {
    let at_ms = began.elapsed().as_secs_f64() * 1e3;
    samples.extend(resident_bytes().map(|bytes| Resident { at_ms, bytes }));
    samples.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_watch_has_a_sample_of_its_end() {
        let samples = Watch::start(Duration::from_secs(60)).end();
        // Without /proc there is no figure.
        assert_eq!(samples.is_empty(), resident_bytes().is_none());
        assert!(samples.iter().all(|sample| sample.bytes > 1 << 20), "{samples:?}");
    }
}
