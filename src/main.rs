//! The `scrip` program: argument parsing. Each subcommand has a file in `cli`.

mod cli;
mod exit;
mod help;
mod print;
mod progress;
mod reach;
mod stop;

use std::io::IsTerminal;
use std::pin::Pin;
use std::process::ExitCode;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// mimalloc, because batches and replies are large buffers that live for milliseconds: the system allocator returns each to the
/// kernel, which then has to zero its pages again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let filter = std::env::var("SCRIP_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let filter = filter.unwrap_or_else(|| Targets::new().with_default(LevelFilter::WARN));
    let lines = tracing_subscriber::fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    tracing_subscriber::registry().with(filter).with(lines).init();
    let cli = match help::parse() {
        Ok(cli) => cli,
        Err(exit) => return exit::after_output(exit).into(),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return exit::report(&anyhow::Error::new(error).context("cannot start the async runtime")).into(),
    };
    // Without its type, because the runtime has a copy of the code for each kind of scheduler: the commands would be compiled
    // three times.
    let run: Pin<Box<dyn Future<Output = _>>> = Box::pin(async {
        let done = cli.run().await;
        reach::hang_up().await;
        done
    });
    let exit = runtime.block_on(run).unwrap_or_else(|error| exit::report(&error));
    exit::after_output(exit).into()
}
