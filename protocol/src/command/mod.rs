//! The commands: what a caller may ask, who may ask it, and what is answered.
//!
//! `commands!` below is the one table of them, by group. A row gives a command its number on the wire, its word, whether it changes
//! anything (then it carries a [`RequestId`](crate::RequestId) and has exactly one effect), and the roles that may send it. `at club` names
//! the field with the club, for a command that a credential bound to clubs may send only for those; `list lines` the field with its
//! list of codes. From the table come [`Kind`], [`CommandTopic`], [`AnyCommand`], [`CommandGroup`] and the decoding of payloads. ARCHITECTURE.md lists
//! what else a new command needs.
//!
//! An outcome is an answer, not an error: each command has one closed enum, whose variants stand in order of precedence
//! (success first, then the refusals as they are tried) and carry numbers that never change.

mod add_codes;
mod archive;
mod attempts;
mod bonus;
mod campaign;
mod check;
mod client;
mod club;
mod credential;
mod generate;
mod group;
mod hold;
mod list_campaigns;
mod list_codes;
mod list_rules;
mod lockouts;
mod meaning;
mod note;
mod reader;
mod redeem;
mod refund;
mod refused;
mod rule;
mod rule_changes;
mod snapshot;
mod spending;
mod status;
mod tail;
mod top_up;

pub use add_codes::*;
pub use archive::*;
pub use attempts::*;
pub use bonus::*;
pub use campaign::*;
pub use check::*;
pub use client::*;
pub use club::*;
pub use credential::*;
pub use generate::*;
pub use group::*;
pub use hold::*;
pub use list_campaigns::*;
pub use list_codes::*;
pub use list_rules::*;
pub use lockouts::*;
pub use meaning::redeem_meaning;
pub use note::*;
pub use reader::*;
pub use redeem::*;
pub use refund::*;
pub use refused::*;
pub use rule::*;
pub use rule_changes::*;
pub use snapshot::*;
pub use spending::*;
pub use status::*;
pub use tail::*;
pub use top_up::*;

use crate::ids::{ClientId, ClubId};
use crate::malformed::Malformed;
use crate::role::Role;

/// A command: a request that has a row in the table.
pub trait Command: crate::wire::Wire {
    /// The row.
    const KIND: Kind;
    /// What is answered.
    type Outcome: crate::wire::Wire + serde::Serialize + std::fmt::Debug + Send + 'static;
}

macro_rules! commands {
    ($($(#[doc = $about:literal])* $group:ident($members:ident) {
        $($number:literal $name:ident -> $outcome:ident, $word:literal, $effect:ident, [$($role:ident)*]
            $(at $club:ident)? $(list $list:ident)?;)*
    })*) => {
        /// Which command a frame carries. The numbers never change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Kind {
            $($(#[doc = concat!("`", $word, "`")] $name = $number,)*)*
        }

        impl Kind {
            /// Every kind, in the order of the table.
            pub const ALL: &[Kind] = &[$($(Kind::$name,)*)*];

            /// The kind of this number.
            pub const fn from_number(number: u16) -> Option<Kind> {
                match number {
                    $($($number => Some(Kind::$name),)*)*
                    _ => None,
                }
            }

            /// The command's word, as in messages and metrics.
            pub const fn word(self) -> &'static str {
                match self { $($(Kind::$name => $word,)*)* }
            }

            /// The kind with this word.
            pub fn from_word(word: &str) -> Option<Kind> {
                match word {
                    $($($word => Some(Kind::$name),)*)*
                    _ => None,
                }
            }

            /// What the command is about: its group in the table.
            pub const fn topic(self) -> CommandTopic {
                match self { $($(Kind::$name => CommandTopic::$group,)*)* }
            }

            /// Whether the command changes anything: then its frame carries a request id.
            pub const fn mutates(self) -> bool {
                match self { $($(Kind::$name => commands!(@$effect),)*)* }
            }

            /// Whether the command carries a list of codes.
            pub const fn has_list(self) -> bool {
                match self { $($(Kind::$name => commands!(@is_given $($list)?),)*)* }
            }

            /// Who may send it, beside the operator, who may send everything.
            pub const fn roles(self) -> &'static [Role] {
                match self { $($(Kind::$name => &[$(Role::$role),*],)*)* }
            }
        }

        /// Any one command.
        #[derive(Debug, Clone, PartialEq)]
        pub enum AnyCommand {
            $($(#[doc = concat!("`", $word, "`")] $name($name),)*)*
        }

        impl AnyCommand {
            /// Checks a payload and decodes it.
            ///
            /// # Errors
            /// When the bytes are not that command, whole and valid.
            pub fn decode(kind: Kind, payload: &[u8]) -> Result<AnyCommand, Malformed> {
                match kind {
                    $($(Kind::$name => crate::wire::decode(kind.word(), payload).map(AnyCommand::$name),)*)*
                }
            }

            /// The command by its group, so that a `match` can pass over a whole group at once.
            pub fn by_group(self) -> CommandGroup {
                match self {
                    $($(AnyCommand::$name(command) => CommandGroup::$group($members::$name(command)),)*)*
                }
            }

            /// The club at which it is sent, with the client; a credential that is bound to clubs may send it only for those.
            pub fn club_and_client(&self) -> Option<(ClubId, Option<ClientId>)> {
                match self { $($(AnyCommand::$name(command) => commands!(@club command $($club)?),)*)* }
            }

            /// The list of codes that it carries.
            pub fn list(&self) -> Option<&CodeTexts> {
                match self { $($(AnyCommand::$name(command) => commands!(@list command $($list)?),)*)* }
            }

            /// The hash of its bytes, in the one way in which this program writes them.
            fn hash_as_it_is(&self) -> u64 {
                match self { $($(AnyCommand::$name(command) => meaning::hash(command),)*)* }
            }
        }

        /// The groups of commands, as of [`Kind::topic`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum CommandTopic {
            $($(#[doc = $about])* $group,)*
        }

        /// A command by its group.
        #[derive(Debug, Clone, PartialEq)]
        pub enum CommandGroup {
            $($(#[doc = $about])* $group($members),)*
        }

        $($(#[doc = $about])*
        #[derive(Debug, Clone, PartialEq)]
        #[allow(clippy::large_enum_variant, reason = "a command is taken apart right after it is decoded")]
        pub enum $members {
            $(#[doc = concat!("`", $word, "`")] $name($name),)*
        })*

        /// The answer to any one command.
        #[derive(Debug, serde::Serialize)]
        #[serde(untagged)]
        pub enum AnyOutcome {
            $($(#[doc = concat!("Of `", $word, "`")] $name($outcome),)*)*
        }

        impl AnyOutcome {
            /// Checks the bytes of an answer and decodes them.
            ///
            /// # Errors
            /// When the bytes are not such an answer, whole and valid.
            pub fn decode(kind: Kind, payload: &[u8]) -> Result<AnyOutcome, Malformed> {
                match kind {
                    $($(Kind::$name => crate::wire::decode(kind.word(), payload).map(AnyOutcome::$name),)*)*
                }
            }

            /// The answer in words; those to commands that only read are data, and have none.
            pub fn words(&self) -> Option<String> {
                match self {
                    $($(AnyOutcome::$name(outcome) => commands!(@words $effect outcome),)*)*
                }
            }
        }

        $($(impl Command for $name {
            const KIND: Kind = Kind::$name;
            type Outcome = $outcome;
        })*)*
    };
    (@is_given) => { false };
    (@is_given $field:ident) => { true };
    (@club $command:ident) => {{
        let _ = $command;
        None
    }};
    (@club $command:ident $club:ident) => { Some(($command.$club, $command.client.into())) };
    (@list $command:ident) => {{
        let _ = $command;
        None
    }};
    (@list $command:ident $list:ident) => { Some(&$command.$list) };
    (@changes) => { true };
    (@reads) => { false };
    (@words changes $outcome:ident) => { Some($outcome.to_string()) };
    (@words reads $outcome:ident) => {{
        let _ = $outcome;
        None
    }};
}

commands! {
    /// Redeeming codes, checks, holds and refunds of activations.
    Redemptions(RedemptionCommand) {
         1 Redeem           -> RedeemOutcome,           "redeem",            changes, [Gateway] at club;
         2 Check            -> CheckOutcome,            "check",             reads,   [Gateway Marketing Cashier Reporter] at club;
         3 Hold             -> HoldOutcome,             "hold",              changes, [Gateway] at club;
         4 Confirm          -> ConfirmOutcome,          "confirm",           changes, [Gateway];
         5 Release          -> ReleaseOutcome,          "release",           changes, [Gateway];
         6 Refund           -> RefundOutcome,           "refund",            changes, [Gateway];
    }
    /// Clubs and groups.
    Directory(DirectoryCommand) {
        10 RegisterClub     -> RegisterClubOutcome,     "register-club",     changes, [];
        11 ListClubs        -> ListClubsOutcome,        "list-clubs",        reads,   [Gateway Marketing Cashier Reporter];
        12 RegisterGroup    -> RegisterGroupOutcome,    "register-group",    changes, [Marketing];
        13 ListGroups       -> ListGroupsOutcome,       "list-groups",       reads,   [Gateway Marketing Cashier Reporter];
    }
    /// Clients.
    Clients(ClientCommand) {
        20 RegisterClient   -> RegisterClientOutcome,   "register-client",   changes, [Gateway Cashier];
        21 ShowClient       -> ShowClientOutcome,       "show-client",       reads,   [Gateway Marketing Cashier Reporter];
    }
    /// Campaigns, and the codes added to them.
    Campaigns(CampaignCommand) {
        30 CreateCampaign   -> CreateCampaignOutcome,   "create-campaign",   changes, [Marketing] list lines;
        31 AddCodes         -> AddCodesOutcome,         "add-codes",         changes, [Marketing] list lines;
        32 SwitchCampaign   -> SwitchCampaignOutcome,   "switch-campaign",   changes, [Marketing];
        33 ListCampaigns    -> ListCampaignsOutcome,    "list-campaigns",    reads,   [Marketing Reporter];
        34 ShowCampaign     -> ShowCampaignOutcome,     "show-campaign",     reads,   [Marketing Reporter];
        35 UpdateCampaign   -> UpdateCampaignOutcome,   "update-campaign",   changes, [Marketing];
        36 ArchiveCampaign  -> ArchiveCampaignOutcome,  "archive-campaign",  changes, [Marketing];
        37 RestoreCampaign  -> RestoreCampaignOutcome,  "restore-campaign",  changes, [Marketing];
    }
    /// Tails, the status, refused attempts and lockouts.
    Monitoring(MonitoringCommand) {
        40 Tail             -> TailOutcome,             "tail",              reads,   [Reporter];
        41 ShowStatus       -> Status,                  "show-status",       reads,   [Reporter];
        42 WatchAttempts    -> WatchAttemptsOutcome,    "watch-attempts",    reads,   [Reporter];
        43 ListLockouts     -> ListLockoutsOutcome,     "list-lockouts",     reads,   [];
        44 LiftLockouts     -> LiftLockoutsOutcome,     "lift-lockouts",     reads,   [];
    }
    /// Lists of codes.
    Codes(CodesCommand) {
        50 TryCodes         -> AddCodesOutcome,         "try-codes",         reads,   [Marketing] list lines;
        51 GenerateCodes    -> GenerateCodesOutcome,    "generate-codes",    changes, [Marketing];
        52 ArchiveCodes     -> ArchiveCodesOutcome,     "archive-codes",     changes, [Marketing] list codes;
        53 RestoreCodes     -> RestoreCodesOutcome,     "restore-codes",     changes, [Marketing] list codes;
        54 ListCodes        -> ListCodesOutcome,        "list-codes",        reads,   [Marketing Reporter];
        55 CheckFree        -> CheckFreeOutcome,        "check-free",        reads,   [Marketing] list codes;
    }
    /// Credentials.
    Credentials(CredentialCommand) {
        60 AddCredential    -> AddCredentialOutcome,    "add-credential",    changes, [];
        61 RevokeCredential -> RevokeCredentialOutcome, "revoke-credential", changes, [];
        62 ListCredentials  -> ListCredentialsOutcome,  "list-credentials",  reads,   [];
    }
    /// Clients' balances.
    Accounts(AccountCommand) {
        70 TopUp            -> TopUpOutcome,            "top-up",            changes, [Gateway Cashier] at club;
        71 RefundTopUp      -> RefundTopUpOutcome,      "refund-top-up",     changes, [Gateway Cashier];
        72 CreditBonus      -> BonusOutcome,            "credit-bonus",      changes, [Cashier];
        73 WriteOffBonus    -> BonusOutcome,            "write-off-bonus",   changes, [Cashier];
        74 PayBonus         -> BonusOutcome,            "pay-bonus",         changes, [Gateway Cashier] at club;
        75 RefundBonus      -> RefundBonusOutcome,      "refund-bonus",      changes, [Gateway Cashier];
        76 RecordSession    -> SpendOutcome,            "record-session",    changes, [Gateway Cashier] at club;
        77 RecordPurchase   -> SpendOutcome,            "record-purchase",   changes, [Gateway Cashier] at club;
    }
    /// Rules of top-ups.
    Rules(RuleCommand) {
        80 CreateRule       -> CreateRuleOutcome,       "create-rule",       changes, [Marketing];
        81 UpdateRule       -> UpdateRuleOutcome,       "update-rule",       changes, [Marketing];
        82 SwitchRule       -> SwitchRuleOutcome,       "switch-rule",       changes, [Marketing];
        83 ArchiveRule      -> ArchiveRuleOutcome,      "archive-rule",      changes, [Marketing];
        84 RestoreRule      -> RestoreRuleOutcome,      "restore-rule",      changes, [Marketing];
        85 ListRules        -> ListRulesOutcome,        "list-rules",        reads,   [Marketing Reporter];
        86 ShowRule         -> ShowRuleOutcome,         "show-rule",         reads,   [Marketing Reporter];
        87 LintRule         -> LintRuleOutcome,         "lint-rule",         reads,   [Marketing];
        88 RehearseRule     -> RehearseRuleOutcome,     "rehearse-rule",     reads,   [Marketing];
    }
    /// Snapshots, and readers of the journal.
    Journal(JournalCommand) {
        90 TakeSnapshot     -> TakeSnapshotOutcome,     "take-snapshot",     reads,   [];
        91 KeepReader       -> KeepReaderOutcome,       "keep-reader",       changes, [Reporter];
        92 ForgetReader     -> ForgetReaderOutcome,     "forget-reader",     changes, [Reporter];
        93 ListReaders      -> ListReadersOutcome,      "list-readers",      reads,   [Reporter];
    }
}

impl Kind {
    /// Whether a credential of this role may send it.
    pub fn permits(self, role: Role) -> bool {
        role == Role::Operator || self.roles().contains(&role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_are_unique_and_found_again() {
        let mut words: Vec<_> = Kind::ALL.iter().map(|kind| kind.word()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            assert_eq!(Kind::from_number(*kind as u16), Some(*kind));
            assert_eq!(Kind::from_word(kind.word()), Some(*kind));
            assert!(kind.permits(Role::Operator));
        }
        assert_eq!(Kind::from_number(0), None);
        assert_eq!(Kind::from_word("fly"), None);
    }

    #[test]
    fn a_gateway_redeems_and_checks_but_makes_no_campaigns() {
        assert!([Kind::Hold, Kind::Confirm, Kind::Release].iter().all(|kind| kind.permits(Role::Gateway)));
        assert!(Kind::Redeem.permits(Role::Gateway) && Kind::Check.permits(Role::Gateway));
        assert!(!Kind::CreateCampaign.permits(Role::Gateway) && !Kind::Tail.permits(Role::Gateway));
        assert!(!Kind::Redeem.permits(Role::Reporter) && !Kind::Redeem.permits(Role::Marketing));
    }
}
