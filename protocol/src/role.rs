//! Roles: what the holder of a credential may do (Z15).

use std::fmt;
use std::str::FromStr;

use crate::ids::InvalidId;

/// The role of a credential.
#[wire_format(Copy, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Role {
    /// A payment gateway: redeems, holds and checks; records top-ups and bonus payments for an app.
    Gateway = 1,
    /// Marketing staff: campaigns, codes, rules and groups.
    Marketing = 2,
    /// A cashier: clients, top-ups, and manual bonus operations.
    Cashier = 3,
    /// A reporting job: reads and tails, and reports its position.
    Reporter = 4,
    /// An operator: everything.
    Operator = 5,
}

impl Role {
    /// Every role, in the order of their numbers.
    pub const ALL: [Role; 5] = [Role::Gateway, Role::Marketing, Role::Cashier, Role::Reporter, Role::Operator];

    /// The role's word, as in a configuration file.
    pub const fn word(self) -> &'static str {
        match self {
            Role::Gateway => "gateway",
            Role::Marketing => "marketing",
            Role::Cashier => "cashier",
            Role::Reporter => "reporter",
            Role::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Role {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let unknown =
            || InvalidId { text: text.to_owned(), expected: "a role: gateway, marketing, cashier, reporter or operator" };
        Role::ALL.into_iter().find(|role| role.word() == text).ok_or_else(unknown)
    }
}
