//! How far the read model has come, for those who wait for it or watch it.

use scrip_protocol::Position;

/// How far the read model has come, and where the engine is. Told through a `tokio::sync::watch` channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The newest record in the read model; it can be read.
    pub applied: Position,
    /// The time of its batch, in milliseconds since 1970.
    pub applied_ms: u64,
    /// The newest record of these that says anything but how far readers of the journal are.
    pub changed: Position,
    /// The newest durable record of the engine, as it last said.
    pub newest: Option<Newest>,
    /// The newest time of the engine at which it had no durable record that is missing here, in milliseconds since 1970. It goes on while no
    /// record comes, and goes back where the engine's clock was ahead and was set right.
    pub engine_ms: u64,
    /// What the follower is doing.
    pub following: Following,
}

/// What the engine last said of its journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    /// The newest durable record.
    pub position: Position,
    /// The engine's time at the moment of saying so, in milliseconds since 1970.
    pub now_ms: u64,
}

/// What the follower is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Following {
    /// It has no connection, for this reason, and tries again.
    Apart(String),
    /// It is connected and applies what comes.
    Tailing,
    /// It cannot go on, for this reason: somebody has to decide.
    Halted(String),
}

/// How far behind the read model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// In records.
    pub records: u64,
    /// In milliseconds: how old what is missing is at the most. 0 where nothing is missing.
    pub milliseconds: u64,
}

impl Standing {
    /// The engine has reported how far its journal goes. Returns whether that is news.
    pub fn report(&mut self, newest: Newest) -> bool {
        // Reports arrive in the order in which the engine made them, so an earlier time means that its clock went back.
        self.engine_ms = match newest.position <= self.applied {
            true => newest.now_ms,
            false => self.engine_ms.min(newest.now_ms),
        };
        self.newest.replace(newest) != Some(newest)
    }

    /// How far behind the read model is, as far as is known: nothing until the engine was reached.
    pub fn lag(&self) -> Option<Lag> {
        let newest = self.newest?;
        let records = newest.position.0.saturating_sub(self.applied.0);
        let milliseconds = if records == 0 { 0 } else { newest.now_ms.saturating_sub(self.applied_ms) };
        Some(Lag { records, milliseconds })
    }
}
