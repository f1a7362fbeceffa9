//! Threads for work that must not slow down requests.

use std::thread::JoinHandle;

/// Starts a thread at the lowest priority.
pub(crate) fn spawn<T: Send + 'static>(name: &str, run: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let run = || {
        // On Linux this applies to the thread, not to the process.
        #[cfg(target_os = "linux")]
        if let Err(error) = rustix::process::setpriority_process(None, 19) {
            tracing::warn!(%error, "a background thread runs at normal priority");
        }
        run()
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(run).expect("the operating system starts one more thread")
}
