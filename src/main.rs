//! The `scrip` program: argument parsing. Each subcommand has a file in `cli`.

mod cli;
mod exit;
mod help;
mod print;
mod progress;
mod reach;
mod stop;

use std::io::IsTerminal;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

/// mimalloc, because batches and replies are large buffers that live for milliseconds: the system allocator returns each to the
/// kernel, which then has to zero its pages again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("SCRIP_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    let cli = match help::parse() {
        Ok(cli) => cli,
        Err(exit) => return exit::after_output(exit).into(),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return exit::report(&anyhow::Error::new(error).context("cannot start the async runtime")).into(),
    };
    let run = async {
        let done = cli.run().await;
        reach::hang_up().await;
        done
    };
    let exit = runtime.block_on(run).unwrap_or_else(|error| exit::report(&error));
    exit::after_output(exit).into()
}
