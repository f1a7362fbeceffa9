//! `scrip lockouts`: the clients, networks and credentials that are locked out, and how operators lift that.

use clap::{Args, Subcommand};
use scrip_protocol::command::{Lockout, LockoutKind, WhichLockouts};

use crate::exit::{Exit, InputError};
use crate::print;
use crate::reach::Reach;

/// List and lift lockouts of clients, networks and credentials
///
/// Too many failed attempts at codes cause a lockout. It ends by itself, and a restart of the engine ends all of them. The section `guard` of scrip.toml sets the limits.
#[derive(Debug, Args)]
pub(crate) struct Lockouts {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the current lockouts
    ///
    /// Prints the id and the end of each lockout, the credential that caused it, and whether it also holds at other credentials.
    List {
        /// Only this kind: credential, client or network
        #[arg(long)]
        kind: Option<LockoutKind>,
        #[command(flatten)]
        reach: Reach,
    },
    /// Lift a lockout, or all of a kind, and restore the full budget of attempts
    ///
    /// With --all, every budget of the kind is full again. The engine logs who lifted what; the journal does not record lockouts.
    Lift {
        /// Kind of lockout: credential, client or network
        kind: LockoutKind,
        /// Id to unlock; for a network, any address in it
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        id: Option<String>,
        /// Lift all lockouts of this kind
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        reach: Reach,
    },
}

impl Lockouts {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        match self.command {
            Command::List { kind, reach } => {
                let listed = reach.client().await?.list_lockouts(kind).await?;
                match reach.json {
                    true => print::json(&listed),
                    false if listed.lockouts.is_empty() => print::line("there are no lockouts"),
                    false => {
                        let row = |lockout: &Lockout| {
                            let Lockout { key, until_ms, caused_by, everywhere } = lockout;
                            let kind = key.kind().word().to_owned();
                            let scope = if *everywhere { "everywhere" } else { "at that credential" };
                            vec![kind, key.id(), print::time(*until_ms), caused_by.to_string(), scope.to_owned()]
                        };
                        let rows: Vec<_> = listed.lockouts.iter().map(row).collect();
                        print::table(&["KIND", "ID", "UNTIL", "CAUSED BY CREDENTIAL", "SCOPE"], &rows);
                        if listed.total > rows.len() as u64 {
                            print::line(format_args!("the first {} of {}", rows.len(), print::grouped(listed.total)));
                        }
                    }
                }
                Ok(Exit::Done)
            }
            Command::Lift { kind, id, all: _, reach } => {
                let key = id.map(|id| kind.key(&id)).transpose();
                let key =
                    key.map_err(|error| InputError { place: format!("the id of a {}", kind.word()), why: error.to_string() })?;
                let which = key.map_or(WhichLockouts::AllOf(kind), WhichLockouts::Of);
                let outcome = reach.client().await?.lift_lockouts(which).await?;
                match (reach.json, key) {
                    (true, _) => print::json(&outcome),
                    (false, Some(key)) if outcome.lifted == 0 => print::line(format_args!("{key} is not locked out")),
                    (false, Some(key)) => print::line(format_args!("lifted: {key}")),
                    (false, None) => print::line(format_args!("lifted: {}", print::count(outcome.lifted, "lockout"))),
                }
                Ok(if key.is_some() && outcome.lifted == 0 { Exit::Refused } else { Exit::Done })
            }
        }
    }
}
