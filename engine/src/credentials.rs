//! The initial credentials of an organisation in `credentials.json`, each with the hash of its token.
//!
//! The journal is the authority on who may call. At a start the engine records each credential of the file whose number the
//! journal does not know; for known ones the file is not used. A file that contradicts the journal is refused with
//! [`InvalidCredential`]: an operator who changed a hash or role there expects it to apply, and would not notice that the old one
//! still does. Only entries that the journal has revoked may contradict it, and stay revoked.

use std::collections::HashSet;

use scrip_protocol::command::{CREDENTIALS_MAX, Grant, NAME_BYTES_MAX, Secret};
use scrip_protocol::{CredentialId, Role};

use scrip_core::state;

/// One credential of `credentials.json`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// Its number, which records refer to.
    pub credential: CredentialId,
    /// A name for people to read.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// BLAKE3 of the token, in hexadecimal.
    pub token_hash: String,
}

/// A new token, which is not stored.
pub struct IssuedToken {
    /// The credential it is for.
    pub credential: Credential,
    /// The token, from [`new_token`].
    pub token: String,
}

/// The credentials of a file.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    list: Vec<Credential>,
}

/// An invalid credential of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("credential {credential} ({name:?}): {why}")]
pub struct InvalidCredential {
    /// Its number.
    pub credential: CredentialId,
    /// Its name in the file.
    pub name: String,
    /// What is wrong.
    #[source]
    pub why: WhyInvalid,
}

/// Why a credential of the file is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WhyInvalid {
    /// Its number is out of range.
    #[error("a credential's number is 1 to {CREDENTIALS_MAX}")]
    Number,
    /// Another credential of the file has its number.
    #[error("another credential of the file has this number")]
    NumberTwice,
    /// The name is missing or too long.
    #[error("a credential's name has 1 to {NAME_BYTES_MAX} bytes")]
    Name,
    /// The hash is malformed.
    #[error("its token_hash is not 64 hexadecimal digits")]
    Hash,
    /// Another credential, of the file or the journal, has its token.
    #[error("credential {0} has the same token")]
    TokenOf(CredentialId),
    /// The journal has another token for its number.
    #[error(
        "the journal has another token for it, which is the valid one; remove it from the file, and see `scrip token --help`"
    )]
    OtherToken,
    /// The journal has another role for its number.
    #[error("the journal has the role {0} for it, which is the valid one; remove it from the file, and see `scrip token --help`")]
    OtherRole(Role),
}

impl Credentials {
    /// Wraps a list.
    pub fn new(list: Vec<Credential>) -> Credentials {
        Credentials { list }
    }

    /// The list.
    pub fn list(&self) -> &[Credential] {
        &self.list
    }

    /// Creates a token and adds its credential.
    ///
    /// # Panics
    /// If the operating system has no random numbers.
    pub fn issue(&mut self, name: &str, role: Role) -> IssuedToken {
        let token = new_token(role);
        let number = self.list.iter().map(|credential| credential.credential.0).max().unwrap_or(0) + 1;
        let token_hash = blake3::hash(token.as_bytes()).to_hex().to_string();
        let credential = Credential { credential: CredentialId(number), name: name.to_owned(), role, token_hash };
        self.list.push(credential.clone());
        IssuedToken { credential, token }
    }

    /// The credentials of the file that the journal does not know.
    ///
    /// # Errors
    /// If a credential is invalid, or contradicts the journal.
    pub fn unknown_to(&self, journal: &state::Credentials) -> Result<Vec<(CredentialId, Grant)>, InvalidCredential> {
        let (mut numbers, mut unknown) = (HashSet::new(), Vec::<(CredentialId, Grant)>::new());
        for of in &self.list {
            let invalid = |why| InvalidCredential { credential: of.credential, name: of.name.clone(), why };
            let grant = of.grant().map_err(invalid)?;
            if !numbers.insert(of.credential) {
                return Err(invalid(WhyInvalid::NumberTwice));
            }
            match journal.of(of.credential) {
                Some(known) if known.revoked_ms.is_some() => continue,
                Some(known) if known.grant.secret != grant.secret => return Err(invalid(WhyInvalid::OtherToken)),
                Some(known) if known.grant.role != grant.role => {
                    return Err(invalid(WhyInvalid::OtherRole(known.grant.role)));
                }
                Some(_) => continue,
                None => {}
            }
            let in_journal = journal.after(CredentialId(0)).map(|(id, known)| (id, known.grant.secret));
            let in_file = unknown.iter().map(|(id, grant)| (*id, grant.secret));
            if let Some((other, _)) = in_journal.chain(in_file).find(|(_, secret)| *secret == grant.secret) {
                return Err(invalid(WhyInvalid::TokenOf(other)));
            }
            unknown.push((of.credential, grant));
        }
        Ok(unknown)
    }
}

impl Credential {
    /// The grant of a credential of the file: at all clubs, and with reasons.
    fn grant(&self) -> Result<Grant, WhyInvalid> {
        if self.credential.0 == 0 || self.credential.0 as usize > CREDENTIALS_MAX {
            return Err(WhyInvalid::Number);
        }
        if self.name.trim().is_empty() || self.name.len() > NAME_BYTES_MAX {
            return Err(WhyInvalid::Name);
        }
        let hash = blake3::Hash::from_hex(&self.token_hash).map_err(|_| WhyInvalid::Hash)?;
        let secret = Secret::Token(*hash.as_bytes());
        Ok(Grant { name: self.name.clone(), role: self.role, clubs: Vec::new(), reasons: true, secret })
    }
}

/// A new token: `scrip_`, the role, `_`, and 256 random bits in hexadecimal.
///
/// # Panics
/// If the operating system has no random numbers.
pub fn new_token(role: Role) -> String {
    let mut random = [0; 32];
    getrandom::fill(&mut random).expect("the operating system has a random generator");
    let secret: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("scrip_{role}_{secret}")
}

/// Identifies the holder of a token.
pub fn secret_of_token(token: &str) -> Secret {
    Secret::Token(*blake3::hash(token.as_bytes()).as_bytes())
}

/// Identifies the holder of a certificate in DER.
pub fn secret_of_certificate(der: &[u8]) -> Secret {
    Secret::Certificate(*blake3::hash(der).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use scrip_core::state::State;
    use scrip_protocol::command::{CredentialAdded, CredentialRevoked};
    use scrip_protocol::{RequestId, Stamp};

    /// A state with these credentials, some of them revoked.
    fn journal(added: &[(CredentialId, Grant)], revoked: &[u32]) -> State {
        let mut state = State::default();
        for (credential, grant) in added {
            let record = CredentialAdded { stamp: None, credential: *credential, grant: grant.clone() };
            state.apply(1, &record.into());
        }
        for credential in revoked {
            let stamp = Stamp { request: RequestId::now(), body: 0, credential: CredentialId(5) };
            state.apply(2, &CredentialRevoked { stamp, credential: CredentialId(*credential) }.into());
        }
        state
    }

    fn of_two() -> (Credentials, Vec<(CredentialId, Grant)>) {
        let mut file = Credentials::default();
        file.issue("till", Role::Gateway);
        file.issue("office", Role::Marketing);
        let unknown = file.unknown_to(&State::default().credentials).expect("both are new");
        (file, unknown)
    }

    #[test]
    fn a_token_is_identified_by_its_hash_alone() {
        let mut file = Credentials::default();
        let issued = file.issue("till", Role::Gateway);
        let unknown = file.unknown_to(&State::default().credentials).expect("it is new");
        assert_eq!(unknown[0].1.secret, secret_of_token(&issued.token));
        assert_ne!(unknown[0].1.secret, secret_of_token(&issued.token[1..]));
        assert!(!format!("{file:?}").contains(&issued.token));
        assert_ne!(new_token(Role::Gateway), new_token(Role::Gateway));
    }

    /// Z15: the journal is the authority; only unknown credentials are taken from the file.
    #[test]
    fn known_credentials_are_not_added_again() {
        let (mut file, unknown) = of_two();
        let numbers = |of: &[(CredentialId, Grant)]| of.iter().map(|(id, _)| id.0).collect::<Vec<_>>();
        assert_eq!(numbers(&unknown), [1, 2]);
        assert_eq!(file.unknown_to(&journal(&unknown, &[]).credentials), Ok(vec![]));
        assert_eq!(file.unknown_to(&journal(&unknown[1..], &[]).credentials).as_deref().map(numbers), Ok(vec![1]));
        // Revoked in the journal, so that it may contradict it here.
        file.list[0].role = Role::Operator;
        file.list[0].token_hash = "00".repeat(32);
        assert_eq!(file.unknown_to(&journal(&unknown, &[1]).credentials), Ok(vec![]));
    }

    #[test]
    fn a_file_that_contradicts_the_journal_is_refused() {
        let (file, unknown) = of_two();
        let changed = |change: &dyn Fn(&mut Vec<Credential>)| {
            let mut file = file.clone();
            change(&mut file.list);
            file.unknown_to(&journal(&unknown, &[]).credentials).map_err(|error| (error.credential.0, error.why))
        };
        let zeros = || "00".repeat(32);
        assert_eq!(changed(&|list| list[1].token_hash = zeros()), Err((2, WhyInvalid::OtherToken)));
        assert_eq!(changed(&|list| list[0].role = Role::Operator), Err((1, WhyInvalid::OtherRole(Role::Gateway))));
        assert_eq!(changed(&|list| list[1].credential.0 = 3), Err((3, WhyInvalid::TokenOf(CredentialId(2)))));
        assert_eq!(changed(&|list| list[1].credential.0 = 1), Err((1, WhyInvalid::NumberTwice)));
        assert_eq!(changed(&|list| list[0].credential.0 = 0), Err((0, WhyInvalid::Number)));
        assert_eq!(changed(&|list| list[0].credential.0 = 100_001), Err((100_001, WhyInvalid::Number)));
        assert_eq!(changed(&|list| list[0].name = " ".into()), Err((1, WhyInvalid::Name)));
        assert_eq!(changed(&|list| list[0].token_hash.truncate(63)), Err((1, WhyInvalid::Hash)));
        // Two credentials with the same token are refused even if the journal knows neither.
        let mut twice = file.clone();
        twice.list[1].token_hash = twice.list[0].token_hash.clone();
        let error = twice.unknown_to(&State::default().credentials).expect_err("one token is one credential's");
        assert_eq!(error.to_string(), "credential 2 (\"office\"): credential 1 has the same token");
    }
}
