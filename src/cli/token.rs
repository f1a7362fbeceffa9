//! `scrip token`: the credentials of the engine, with their roles and clubs.
//!
//! Tokens are generated here, and only their hashes are sent; keys of certificates are generated here, and stay here.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use clap::{Args, Subcommand};
use scrip_client::{Client, ClientError};
use scrip_engine::certificates::IssuedCertificate;
use scrip_engine::credentials::{new_token, secret_of_token};
use scrip_protocol::command::{
    AddCredential, AddCredentialOutcome, CredentialCard, Grant, RevokeCredential, RevokeCredentialOutcome,
};
use scrip_protocol::{ClubId, CredentialId, RequestId, Role};

use crate::exit::{Exit, InputError};
use crate::print;
use crate::reach::{Reach, RequestArgs};

/// Add, list and revoke credentials: tokens and certificates
///
/// Every caller of the engine needs a token, a secret that this command generates, or a certificate, which only the engine's own
/// authority can issue. Each has a role: gateway (redeem, hold and check codes), marketing (campaigns and codes), cashier
/// (clients), reporter (read everything), operator (everything, including credentials). The journal records who did what under
/// the credential's number.
#[derive(Debug, Args)]
pub(crate) struct Token {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(Add),
    /// List credentials, including revoked ones
    List {
        #[command(flatten)]
        reach: Reach,
    },
    /// Revoke a token or certificate, at once and permanently
    ///
    /// Closes its connections at once. Earlier changes remain. The last operator credential cannot be revoked.
    Revoke {
        /// Number of the credential, as `scrip token list` shows it
        credential: CredentialId,
        #[command(flatten)]
        request_args: RequestArgs,
        #[command(flatten)]
        reach: Reach,
    },
}

/// Add a token, or a certificate with --certificate
///
/// The token is printed once and stored nowhere: copy it to where it will be used. If it is lost, revoke it and add another one.
#[derive(Debug, Args)]
struct Add {
    /// Name that you will recognise in a year: `till north`, `web shop`
    #[arg(long)]
    name: String,
    /// Role: gateway, marketing, cashier, reporter or operator
    #[arg(long)]
    role: Role,
    /// Number of a club at which a gateway can redeem; can be repeated [default: all clubs]
    #[arg(long = "club", value_name = "CLUB")]
    clubs: Vec<ClubId>,
    /// Hide the reasons of refusals from this caller: codes are only `not accepted`
    ///
    /// For gateways that pass replies on to strangers.
    #[arg(long)]
    no_reasons: bool,
    /// Issue a certificate instead of a token: FILE_PREFIX.pem and its key FILE_PREFIX.key; needs the data folder's tls/ca.key
    #[arg(long, value_name = "FILE_PREFIX")]
    certificate: Option<PathBuf>,
    /// Validity of the certificate, in days
    #[arg(long, value_name = "DAYS", default_value = "730", requires = "certificate",
          value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
    #[command(flatten)]
    reach: Reach,
}

impl Token {
    pub(crate) async fn run(self) -> anyhow::Result<Exit> {
        match self.command {
            Command::Add(add) => add.run().await,
            Command::List { reach } => list(&reach).await,
            Command::Revoke { credential, request_args, reach } => {
                let call = async |client: &Client, request| client.call(request, &RevokeCredential { credential }).await;
                reach.carry_out(&request_args, call, |outcome| *outcome == RevokeCredentialOutcome::Revoked).await
            }
        }
    }
}

impl Add {
    async fn run(self) -> anyhow::Result<Exit> {
        match &self.certificate {
            None => self.run_token().await,
            Some(prefix) => self.run_certificate(prefix).await,
        }
    }

    fn grant(&self, secret: scrip_protocol::command::Secret) -> Grant {
        let Add { name, role, clubs, no_reasons, .. } = self;
        Grant { name: name.clone(), role: *role, clubs: clubs.clone(), reasons: !no_reasons, secret }
    }

    async fn add(&self, client: &Client, grant: Grant) -> anyhow::Result<AddCredentialOutcome> {
        let request = RequestId::now();
        let error = match client.call(request, &AddCredential { grant }).await {
            Ok(outcome) => return Ok(outcome),
            Err(error) => error,
        };
        // The token was not printed, so nobody can retry this request.
        let hint = "`scrip token list` shows whether it was added; if it was, revoke it and add another one";
        if self.reach.json && matches!(error, ClientError::Unknown { .. }) {
            print::json(&serde_json::json!({ "request": request, "outcome": "unknown", "error": format!("{error}; {hint}") }));
        }
        Err(anyhow::Error::from(error).context(hint))
    }

    async fn run_token(&self) -> anyhow::Result<Exit> {
        let token = new_token(self.role);
        let client = self.reach.client().await?;
        let outcome = self.add(&client, self.grant(secret_of_token(&token))).await?;
        let AddCredentialOutcome::Added(credential) = outcome else { return Ok(self.refused(&outcome)) };
        match self.reach.json {
            true => print::json(&serde_json::json!({ "credential": credential, "token": token })),
            false => {
                print::line(format_args!("{outcome}. Its token, shown only once:\n"));
                print::line(token);
            }
        }
        let Err(not_shown) = print::ensure_shown() else { return Ok(Exit::Done) };
        // Nobody has the token, and nobody ever will.
        let revoked = client.call(RequestId::now(), &RevokeCredential { credential }).await;
        Err(anyhow::Error::from(not_shown).context(match revoked {
            Ok(RevokeCredentialOutcome::Revoked | RevokeCredentialOutcome::AlreadyRevoked) => {
                format!("the token could not be printed, so credential {credential} was revoked")
            }
            Ok(outcome) => format!("the token could not be printed, and credential {credential} could not be revoked: {outcome}"),
            Err(error) => format!(
                "the token could not be printed, and whether credential {credential} was revoked is unknown ({error}): run \
                 `scrip token revoke {credential}`"
            ),
        }))
    }

    /// Writes the files first: if it stays unknown whether the credential was added, they can be used in case it was.
    async fn run_certificate(&self, prefix: &Path) -> anyhow::Result<Exit> {
        let [certificate, key] = ["pem", "key"].map(|ending| with_ending(prefix, ending));
        let from = SystemTime::UNIX_EPOCH.elapsed().context("this machine's clock is set before 1970")?;
        let until = from + Duration::from_secs(u64::from(self.days) * 86_400);
        let issued = self.reach.folder().issue_certificate(&self.name, from, until)?;
        write_both(&issued, &certificate, &key)?;
        let outcome = self.add(&self.reach.client().await?, self.grant(issued.secret)).await?;
        let AddCredentialOutcome::Added(credential) = outcome else {
            for file in [&certificate, &key] {
                std::fs::remove_file(file).with_context(|| file.display().to_string())?;
            }
            return Ok(self.refused(&outcome));
        };
        let until_ms = until.as_millis() as u64;
        match self.reach.json {
            true => print::json(&serde_json::json!({
                "credential": credential, "certificate": certificate, "key": key, "until_ms": until_ms
            })),
            false => print::line(format_args!(
                "{outcome}. Certificate: {}, valid until {}. Private key: {}",
                certificate.display(),
                print::time(until_ms),
                key.display()
            )),
        }
        Ok(Exit::Done)
    }

    fn refused(&self, outcome: &AddCredentialOutcome) -> Exit {
        match self.reach.json {
            true => print::json(outcome),
            false => print::line(outcome),
        }
        Exit::Refused
    }
}

async fn list(reach: &Reach) -> anyhow::Result<Exit> {
    let credentials = reach.client().await?.all_credentials().await?;
    match reach.json {
        true => credentials.iter().for_each(print::json),
        false => {
            let head = [">NUMBER", "NAME", "ROLE", "CLUBS", "REASONS", "KIND", "ADDED", "REVOKED"];
            print::table(&head, &credentials.iter().map(row).collect::<Vec<_>>());
        }
    }
    Ok(Exit::Done)
}

fn row(card: &CredentialCard) -> Vec<String> {
    let clubs: Vec<_> = card.clubs.iter().map(ClubId::to_string).collect();
    vec![
        card.credential.to_string(),
        card.name.clone(),
        card.role.to_string(),
        if clubs.is_empty() { "all".to_owned() } else { clubs.join(", ") },
        if card.reasons { "shown" } else { "hidden" }.to_owned(),
        if card.certificate { "certificate" } else { "token" }.to_owned(),
        print::time(card.added_ms),
        card.revoked_ms.map_or("-".to_owned(), print::time),
    ]
}

/// `shop.north` becomes `shop.north.pem`.
fn with_ending(prefix: &Path, ending: &str) -> PathBuf {
    let mut path = prefix.as_os_str().to_owned();
    path.push(".");
    path.push(ending);
    path.into()
}

/// Writes both files, and overwrites neither: an existing file may be somebody's only key.
fn write_both(issued: &IssuedCertificate, certificate: &Path, key: &Path) -> Result<(), InputError> {
    write_new(key, &issued.key)?;
    write_new(certificate, &issued.certificate).inspect_err(|_| {
        // Without its certificate the key is of no use to anybody.
        let _ = std::fs::remove_file(key);
    })
}

fn write_new(path: &Path, text: &str) -> Result<(), InputError> {
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|why| InputError { place: path.display().to_string(), why: why.to_string() })
}
