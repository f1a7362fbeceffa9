//! The signals that stop a process: Ctrl-C and SIGTERM.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use crate::exit::Exit;
use crate::print;

/// Both signals, from the moment that this was made.
pub(crate) struct Stops {
    interrupt: Signal,
    terminate: Signal,
}

impl Stops {
    pub(crate) fn new() -> io::Result<Stops> {
        Ok(Stops { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for one of them.
    pub(crate) async fn stopped(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// While this lives, a signal ends the process at once: for a start that reads for long and that a kill leaves as it was.
pub(crate) struct Starting(JoinHandle<()>);

impl Starting {
    pub(crate) fn new(json: bool) -> io::Result<Starting> {
        let mut stops = Stops::new()?;
        Ok(Starting(tokio::spawn(async move {
            stops.stopped().await;
            if !json {
                print::line("stopped");
            }
            std::process::exit(Exit::Done as i32);
        })))
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.0.abort();
    }
}
