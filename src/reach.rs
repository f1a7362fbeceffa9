//! How a subcommand reaches an engine.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use scrip_client::{Client, ClientError, Closed, Dial};
use scrip_engine::folder::Folder;
use scrip_protocol::{Refusal, RequestId, private};
use serde::Serialize;

use crate::exit::{Exit, InputError, NoToken, Unknown, words_of};
use crate::print;

/// Groups the connection options in every command's help, apart from the command's own options.
const HEADING: &str = "Connection";

/// The engine to call, and the credential to call it with.
#[derive(Debug, Args)]
pub(crate) struct Reach {
    /// Data folder of an engine on this machine
    ///
    /// Supplies the address and the certificate authority.
    #[arg(long, env = "SCRIP_DATA", default_value = "scrip-data", value_name = "DIR", help_heading = HEADING)]
    data: PathBuf,
    /// Engine address (host:port, UDP); overrides the data folder
    #[arg(long, env = "SCRIP_SERVER", value_name = "ADDRESS", requires = "ca", hide_short_help = true, help_heading = HEADING)]
    server: Option<String>,
    /// Certificate authority to trust (PEM); overrides the data folder
    #[arg(long, env = "SCRIP_CA", value_name = "FILE", hide_short_help = true, help_heading = HEADING)]
    ca: Option<PathBuf>,
    /// File with the token, readable by its owner alone (mode 0600); overrides SCRIP_TOKEN
    #[arg(long, value_name = "FILE", hide_short_help = true, help_heading = HEADING)]
    token_file: Option<PathBuf>,
    /// File with a client certificate, instead of a token (PEM)
    #[arg(long, env = "SCRIP_CERT", value_name = "FILE", requires = "key", conflicts_with = "token_file",
          hide_short_help = true, help_heading = HEADING)]
    cert: Option<PathBuf>,
    /// File with the private key of --cert, readable by its owner alone (PEM, mode 0600)
    #[arg(long, env = "SCRIP_KEY", value_name = "FILE", requires = "cert", hide_short_help = true, help_heading = HEADING)]
    key: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The request id of a command that changes something.
#[derive(Debug, Args)]
pub(crate) struct RequestArgs {
    /// Idempotency key (UUIDv7) [default: a new one]
    ///
    /// Pass the id of an earlier request to retry it: if it was executed, its outcome is printed again and nothing is
    /// executed twice.
    #[arg(long, value_name = "UUID")]
    request_id: Option<RequestId>,
}

impl RequestArgs {
    /// Whether the caller gave the id, in which case it may have been sent before.
    pub(crate) fn is_given(&self) -> bool {
        self.request_id.is_some()
    }

    /// The id to send.
    pub(crate) fn id(&self) -> RequestId {
        self.request_id.unwrap_or_else(RequestId::now)
    }
}

impl Reach {
    /// A connection given by other options than these.
    pub(crate) fn of(data: Option<PathBuf>, server: Option<String>, ca: Option<PathBuf>, token_file: Option<PathBuf>) -> Reach {
        Reach { data: data.unwrap_or_else(|| "scrip-data".into()), server, ca, token_file, cert: None, key: None, json: false }
    }

    /// The data folder. It need not exist if every other connection option is given.
    pub(crate) fn folder(&self) -> Folder {
        Folder::at(&self.data)
    }

    /// The data folder of the called engine, if it is on this machine.
    pub(crate) fn folder_at_hand(&self) -> Option<Folder> {
        Some(self.folder()).filter(|folder| self.server.is_none() && folder.exists())
    }

    fn token(&self) -> anyhow::Result<String> {
        match &self.token_file {
            Some(file) => Ok(String::from_utf8_lossy(&private::read(file)?).into_owned()),
            None => Ok(std::env::var("SCRIP_TOKEN").map_err(|_| NoToken)?),
        }
    }

    /// The parameters of a connection.
    pub(crate) fn dial(&self) -> anyhow::Result<Dial> {
        let folder = self.folder();
        let address = match &self.server {
            Some(address) => address.clone(),
            None => at_hand(folder.config()?.listen).to_string(),
        };
        let ca = self.ca.clone().unwrap_or_else(|| folder.ca_path());
        let authority = read(&ca)?;
        let mut dial = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Dial::certified(&address, authority, read(cert)?, private::read(key)?)?,
            (Some(_) | None, Some(_) | None) => Dial::new(&address, authority, self.token()?.trim())?,
        };
        dial.program = concat!("scrip ", env!("CARGO_PKG_VERSION")).to_owned();
        Ok(dial)
    }

    /// Prints the outcome of a request that changes something, for people or for scripts.
    pub(crate) fn answer(&self, request: RequestId, outcome: &(impl Serialize + Display)) {
        match self.json {
            true => print::json(&serde_json::json!({ "request": request, "outcome": outcome })),
            false => print::line(outcome),
        }
    }

    /// Sends a request that changes something, prints its outcome, and returns the exit code. `is_done` tells an outcome that
    /// carried the request out from a refusal.
    ///
    /// # Errors
    /// As [`Reach::without_outcome`].
    pub(crate) async fn carry_out<T: Serialize + Display, E: Into<anyhow::Error>>(
        &self,
        request_args: &RequestArgs,
        call: impl AsyncFnOnce(&Client, RequestId) -> Result<T, E>,
        is_done: impl FnOnce(&T) -> bool,
    ) -> anyhow::Result<Exit> {
        let (request, outcome) = self.change(request_args, call).await?;
        self.answer(request, &outcome);
        Ok(if is_done(&outcome) { Exit::Done } else { Exit::Refused })
    }

    /// Sends a request that changes something. Returns its id with the outcome. If the outcome cannot be printed, standard
    /// error names the id at the end.
    ///
    /// # Errors
    /// As [`Reach::without_outcome`].
    pub(crate) async fn change<T, E: Into<anyhow::Error>>(
        &self,
        request_args: &RequestArgs,
        call: impl AsyncFnOnce(&Client, RequestId) -> Result<T, E>,
    ) -> anyhow::Result<(RequestId, T)> {
        let request = request_args.id();
        let called = async {
            let client = self.client_for(request_args).await?;
            call(&client, request).await.map_err(Into::into)
        };
        match called.await {
            Ok(outcome) => {
                print::outcome_of(request);
                Ok((request, outcome))
            }
            Err(error) => Err(self.without_outcome(request_args, request, error)),
        }
    }

    /// The error of a request that changes something and has no outcome. With `--request-id` an earlier command may have sent
    /// it, so that its outcome is unknown whatever went wrong now. For scripts the error is printed as well.
    pub(crate) fn without_outcome(&self, request_args: &RequestArgs, request: RequestId, error: anyhow::Error) -> anyhow::Error {
        if error.is::<Unknown>() {
            return error;
        }
        let why = match error.chain().find_map(|cause| cause.downcast_ref::<ClientError>()) {
            // The engine never executes such an id.
            Some(ClientError::Refused(Refusal::RequestIdInvalid)) => return error,
            Some(ClientError::Unknown { waited, cause, .. }) => match cause {
                Some(cause) => format!("no outcome after {waited:.1?} ({cause})"),
                None => format!("no outcome after {waited:.1?}"),
            },
            _ if request_args.is_given() => words_of(&error),
            _ => return error,
        };
        self.unknown(request, why)
    }

    /// The error of a command that ends before it sends its request: as [`Reach::without_outcome`].
    pub(crate) fn unsent(&self, request_args: &RequestArgs, error: impl Into<anyhow::Error>) -> anyhow::Error {
        self.without_outcome(request_args, request_args.id(), error.into())
    }

    /// The error of a request whose outcome is unknown. For scripts it is printed as well.
    pub(crate) fn unknown(&self, request: RequestId, why: String) -> anyhow::Error {
        if self.json {
            print::json(&serde_json::json!({ "request": request, "outcome": "unknown", "error": why }));
        }
        Unknown { request, why }.into()
    }

    /// How many codes a campaign may hold, if the organisation's data folder is on this machine.
    pub(crate) fn codes_per_campaign_max(&self) -> Option<u32> {
        match self.server {
            Some(_) => None,
            None => Folder::at(&self.data).config().ok().map(|config| config.settings.codes_per_campaign_max),
        }
    }

    /// A client.
    pub(crate) async fn client(&self) -> anyhow::Result<Client> {
        connect(self.dial()?).await
    }

    /// A client for a request that changes something: a retry if its id was given.
    pub(crate) async fn client_for(&self, request_args: &RequestArgs) -> anyhow::Result<Client> {
        let client = self.client().await?;
        Ok(if request_args.is_given() { client.retrying() } else { client })
    }
}

/// The ends of the connections that this process has made.
static CONNECTIONS: Mutex<Vec<Closed>> = Mutex::new(Vec::new());

/// How long a command that is done waits until its connections are closed.
const CLOSED_MAX: Duration = Duration::from_millis(200);

/// Connects a client whose connection [`hang_up`] waits for.
pub(crate) async fn connect(dial: Dial) -> anyhow::Result<Client> {
    let client = Client::connect(dial).await?;
    CONNECTIONS.lock().unwrap_or_else(PoisonError::into_inner).push(client.closed());
    Ok(client)
}

/// Waits until the clients of this process have closed their connections. Otherwise the engine keeps them for some seconds, and
/// a credential that calls often is refused for having too many.
pub(crate) async fn hang_up() {
    let connections = std::mem::take(&mut *CONNECTIONS.lock().unwrap_or_else(PoisonError::into_inner));
    let closed = async {
        for connection in connections {
            connection.wait().await;
        }
    };
    // A command that ended with an error may have left a client behind.
    let _ = tokio::time::timeout(CLOSED_MAX, closed).await;
}

/// Where an engine that listens on an address is reached from its own machine: an engine on all addresses, by the loopback address of their
/// family. Its certificate holds both.
fn at_hand(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn read(path: &Path) -> Result<Vec<u8>, InputError> {
    std::fs::read(path).map_err(|why| InputError { place: path.display().to_string(), why: why.to_string() })
}
