//! Credentials: who may call, in which role. Only hashes of tokens are kept.

use scrip_protocol::{CredentialId, Role};

/// One credential, as it stands in `credentials.json`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// Its number, which records name.
    pub credential: CredentialId,
    /// A name for people to read.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// BLAKE3 of the token, in hexadecimal.
    pub token_hash: String,
}

/// A token, in the only moment in which it is known here.
pub struct IssuedToken {
    /// The credential it is for.
    pub credential: Credential,
    /// The token: `scrip_`, the role, `_`, and 256 random bits in hexadecimal.
    pub token: String,
}

/// All credentials of an organisation.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    list: Vec<Credential>,
}

impl Credentials {
    /// Takes over a list.
    pub fn new(list: Vec<Credential>) -> Credentials {
        Credentials { list }
    }

    /// The list.
    pub fn list(&self) -> &[Credential] {
        &self.list
    }

    /// Makes a token and adds its credential.
    ///
    /// # Panics
    /// When the operating system has no random numbers to give.
    pub fn issue(&mut self, name: &str, role: Role) -> IssuedToken {
        let mut random = [0; 32];
        getrandom::fill(&mut random).expect("the operating system has a random generator");
        let secret: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let token = format!("scrip_{role}_{secret}");
        let number = self.list.iter().map(|credential| credential.credential.0).max().unwrap_or(0) + 1;
        let credential =
            Credential { credential: CredentialId(number), name: name.to_owned(), role, token_hash: hash_of(&token) };
        self.list.push(credential.clone());
        IssuedToken { credential, token }
    }

    /// The credential of a token. Hashes are compared, so that the time it takes says nothing of a token.
    pub fn of_token(&self, token: &str) -> Option<&Credential> {
        let hash = hash_of(token);
        self.list.iter().find(|credential| credential.token_hash == hash)
    }
}

fn hash_of(token: &str) -> String {
    blake3::hash(token.as_bytes()).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash_alone() {
        let mut credentials = Credentials::default();
        let issued = credentials.issue("till", Role::Gateway);
        let other = credentials.issue("office", Role::Marketing);
        assert_eq!(credentials.of_token(&issued.token), Some(&issued.credential));
        assert_eq!(credentials.of_token(&other.token).map(|found| found.role), Some(Role::Marketing));
        assert_eq!(credentials.of_token(&issued.token[1..]), None);
        assert!(!format!("{credentials:?}").contains(&issued.token));
    }
}
