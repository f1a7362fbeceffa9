//! What the coordinator of a phase and its callers share: the stage of the phase, and why it can fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use scrip_client::ConnectError;

use crate::lane::LaneError;
use crate::recorder::Recorder;

/// What a caller does with a busy answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBusy {
    /// Retry after the time that the engine names, doubled with each further busy answer. Latency counts from when the request was due
    /// first.
    #[default]
    Retry,
    /// Take it as the final answer.
    Refused,
}

/// Why a phase ended early.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// No connection.
    #[error("no connection: {0}")]
    Connect(#[from] ConnectError),
    /// A lane ended.
    #[error("a lane ended: {0}")]
    Lane(#[from] LaneError),
}

/// The stage of a phase. Stages only advance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stage {
    /// Requests are sent.
    Sending = 0,
    /// Nothing new is sent.
    NothingNew = 1,
    /// Nothing that was busy is sent again either.
    NothingAgain = 2,
    /// Nothing waits for answers any longer.
    Over = 3,
}

/// What the coordinator of a phase and its callers share.
pub(crate) struct Control {
    stage: AtomicU8,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) on_busy: OnBusy,
    pub(crate) patience: Duration,
}

impl Control {
    pub(crate) fn new(recorder: Arc<Recorder>, on_busy: OnBusy, patience: Duration) -> Control {
        Control { stage: AtomicU8::new(Stage::Sending as u8), recorder, on_busy, patience }
    }

    /// Advances the phase to a stage, unless it is there or beyond.
    pub(crate) fn advance(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::AcqRel);
    }

    pub(crate) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Sending,
            1 => Stage::NothingNew,
            2 => Stage::NothingAgain,
            _ => Stage::Over,
        }
    }
}
