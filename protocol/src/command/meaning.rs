//! What a request means, as a hash: it identifies a retry, however the code is spelled (Z3).
//!
//! Codes count in their normalised form, so that letter case, white space around a code and variant spellings of a letter do not
//! matter; the client's network does not count at all. Tags and clubs are sets: their order does not matter, nor that one is listed twice.
//! The hash guards against mistakes, not against forgery: a caller that can
//! send the id can send the body too.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::note::TAGS_READ_MAX;
use super::{
    AddCodes, AddCredential, AnyCommand, ArchiveCodes, CLUBS_PER_CAMPAIGN_MAX, CodeTexts, Command, CreateCampaign, CreateRule,
    CreditBonus, Grant, Hold, Kind, Note, PayBonus, RecordPurchase, RecordSession, RefundBonus, RefundTopUp, RestoreCodes,
    RuleChanges, RuleTerms, Terms, TopUp, UpdateCampaign, UpdateRule, WriteOffBonus,
};
use crate::codes::{CODE_BYTES_MAX, CodeForm, InvalidCode, NormalisedCode};
use crate::ids::{ClientId, ClubId, Position};
use crate::network::ClientNetwork;
use crate::wire;

/// The bytes of a redemption before its code.
const REDEEM_BYTES: usize = 16 + 4 + 8 + 1;

/// The hash of a redemption. `text` is the code as it was typed; it counts if it is not a valid code. Does not allocate.
#[inline]
pub fn redeem_meaning(
    (client, club, top_up): (ClientId, ClubId, Position),
    code: &Result<NormalisedCode, InvalidCode>,
    text: &str,
    form: CodeForm,
) -> u64 {
    let mut bytes = [0; REDEEM_BYTES + CODE_BYTES_MAX];
    bytes[..16].copy_from_slice(&client.0.to_le_bytes());
    bytes[16..20].copy_from_slice(&club.0.to_le_bytes());
    bytes[20..28].copy_from_slice(&top_up.0.to_le_bytes());
    let length = match code {
        Ok(code) => {
            let code = code.as_bytes();
            bytes[REDEEM_BYTES..REDEEM_BYTES + code.len()].copy_from_slice(code);
            REDEEM_BYTES + code.len()
        }
        Err(_) => {
            bytes[REDEEM_BYTES - 1] = 1;
            let hash = xxh3_64_with_seed(form.trim(text).as_bytes(), 0);
            bytes[REDEEM_BYTES..REDEEM_BYTES + 8].copy_from_slice(&hash.to_le_bytes());
            REDEEM_BYTES + 8
        }
    };
    xxh3_64_with_seed(&bytes[..length], u64::from(Kind::Redeem as u16))
}

impl AnyCommand {
    /// The hash of what the command means, for codes of this form.
    pub fn meaning(&self, form: CodeForm) -> u64 {
        if let AnyCommand::Redeem(redeem) = self {
            let code = form.normalise(&redeem.code);
            return redeem_meaning((redeem.client, redeem.club, redeem.top_up), &code, &redeem.code, form);
        }
        if !has_sets_in_order(self) {
            let mut ordered = self.clone();
            put_sets_in_order(&mut ordered);
            return ordered.meaning(form);
        }
        if let AnyCommand::Hold(hold) = self {
            return hash(&Hold { code: written(form, &hold.code), network: ClientNetwork::UNKNOWN, ..hold.clone() });
        }
        if let AnyCommand::CreateCampaign(CreateCampaign { terms, lines, on_conflict }) = self {
            return hash(&CreateCampaign { terms: terms.clone(), lines: each(form, lines), on_conflict: *on_conflict });
        }
        if let AnyCommand::AddCodes(AddCodes { campaign, lines, first_line, on_conflict }) = self {
            let (campaign, first_line, on_conflict) = (*campaign, *first_line, *on_conflict);
            return hash(&AddCodes { campaign, lines: each(form, lines), first_line, on_conflict });
        }
        if let AnyCommand::ArchiveCodes(ArchiveCodes { campaign, codes }) = self {
            return hash(&ArchiveCodes { campaign: *campaign, codes: each(form, codes) });
        }
        if let AnyCommand::RestoreCodes(RestoreCodes { campaign, codes }) = self {
            return hash(&RestoreCodes { campaign: *campaign, codes: each(form, codes) });
        }
        self.hash_as_it_is()
    }
}

/// The tags and clubs of a command, from a reference of either kind.
macro_rules! sets {
    ($command:expr) => {
        if let AnyCommand::TopUp(TopUp { note: Note { tags, .. }, .. })
        | AnyCommand::RefundTopUp(RefundTopUp { note: Note { tags, .. }, .. })
        | AnyCommand::CreditBonus(CreditBonus { note: Note { tags, .. }, .. })
        | AnyCommand::WriteOffBonus(WriteOffBonus { note: Note { tags, .. }, .. })
        | AnyCommand::PayBonus(PayBonus { note: Note { tags, .. }, .. })
        | AnyCommand::RefundBonus(RefundBonus { note: Note { tags, .. }, .. })
        | AnyCommand::RecordSession(RecordSession { note: Note { tags, .. }, .. })
        | AnyCommand::RecordPurchase(RecordPurchase { note: Note { tags, .. }, .. }) = $command
        {
            (Some(tags), None)
        } else if let AnyCommand::CreateCampaign(CreateCampaign { terms: Terms { clubs, .. }, .. })
        | AnyCommand::UpdateCampaign(UpdateCampaign { clubs: Some(clubs), .. })
        | AnyCommand::AddCredential(AddCredential { grant: Grant { clubs, .. }, .. }) = $command
        {
            (None, Some(clubs))
        } else if let AnyCommand::CreateRule(CreateRule { terms: RuleTerms { tags, clubs, .. } }) = $command {
            (Some(tags), Some(clubs))
        } else if let AnyCommand::UpdateRule(UpdateRule { changes: RuleChanges { tags, clubs, .. }, .. }) = $command {
            (tags.into(), clubs.into())
        } else {
            (None, None)
        }
    };
}

/// Whether the sets are in order, or too long to be accepted in any order.
fn has_sets_in_order(command: &AnyCommand) -> bool {
    let (tags, clubs): (Option<&Vec<String>>, Option<&Vec<ClubId>>) = sets!(command);
    let is_refused = tags.is_some_and(|tags| tags.len() > TAGS_READ_MAX)
        || clubs.is_some_and(|clubs| clubs.len() > 2 * CLUBS_PER_CAMPAIGN_MAX);
    is_refused || tags.is_none_or(|tags| is_in_order(tags)) && clubs.is_none_or(|clubs| is_in_order(clubs))
}

fn put_sets_in_order(command: &mut AnyCommand) {
    let (tags, clubs): (Option<&mut Vec<String>>, Option<&mut Vec<ClubId>>) = sets!(command);
    if let Some(tags) = tags {
        tags.sort_unstable();
        tags.dedup();
    }
    if let Some(clubs) = clubs {
        clubs.sort_unstable();
        clubs.dedup();
    }
}

fn is_in_order<T: Ord>(set: &[T]) -> bool {
    set.is_sorted_by(|one, next| one < next)
}

/// The hash of a command, seeded with its kind.
pub(super) fn hash<C: Command>(command: &C) -> u64 {
    let mut bytes = Vec::new();
    wire::encode(command, &mut bytes);
    xxh3_64_with_seed(&bytes, u64::from(C::KIND as u16))
}

/// The codes of a list. Lines stay where they are: the reply names them by number.
fn each(form: CodeForm, lines: &CodeTexts) -> CodeTexts {
    lines.iter().map(|text| written(form, text)).collect()
}

fn written(form: CodeForm, text: &str) -> String {
    form.normalise(text).map_or_else(|_| form.trim(text).to_owned(), |code| code.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{OnConflict, PaidFor, PaidFrom, Redeem, RuleEvent, Secret};
    use crate::ids::{CampaignId, RuleId};
    use crate::money::Money;
    use crate::role::Role;
    use crate::variables::TopUpSource;

    /// Each command that changes something and has codes, with these codes, from a client that calls from this network.
    fn commands(codes: &[&str], network: ClientNetwork) -> [AnyCommand; 6] {
        let (client, club, campaign, code) = (ClientId(7), ClubId(1), CampaignId(1), codes[0]);
        let (lines, on_conflict) = (|| codes.iter().collect::<CodeTexts>(), OnConflict::Skip);
        [
            AnyCommand::Redeem(Redeem { network, ..Redeem::new(client, club, code) }),
            AnyCommand::Hold(Hold { network, ..Hold::new(client, club, code, 60_000) }),
            AnyCommand::CreateCampaign(CreateCampaign { terms: Terms::new("Spring", Money(1)), lines: lines(), on_conflict }),
            AnyCommand::AddCodes(AddCodes { campaign, lines: lines(), first_line: 1, on_conflict }),
            AnyCommand::ArchiveCodes(ArchiveCodes { campaign, codes: lines() }),
            AnyCommand::RestoreCodes(RestoreCodes { campaign, codes: lines() }),
        ]
    }

    /// Z3: the spelling of codes and the client's network do not change what a command means. Another code does, and so does a code on another
    /// line. An invalid code counts as it is written, trimmed.
    #[test]
    fn a_command_means_the_same_however_its_codes_are_written() {
        let form = CodeForm::CURRENT;
        let network = "203.0.113.7".parse().expect("a network");
        let with_list = commands(&["A"], network).iter().filter(|command| command.list().is_some()).count();
        let changing_lists = Kind::ALL.iter().filter(|kind| kind.mutates() && kind.has_list()).count();
        assert_eq!(with_list, changing_lists, "every command with a list that changes something is among them");
        for (at, command) in commands(&["CAFÉ-1", "", "A B"], ClientNetwork::UNKNOWN).iter().enumerate() {
            for same in [["CAFÉ-1", "", "A B"], [" café-1\u{200b}", " ", " A B\t"], ["CAFE\u{301}-1", "\u{feff}", "A B"]] {
                assert_eq!(commands(&same, network)[at].meaning(form), command.meaning(form), "{same:?}: {command:?}");
            }
            for other in [["CAFÉ-2", "", "A B"], ["CAFE-1", "", "A B"], ["C AFÉ-1", "", "A B"]] {
                assert_ne!(commands(&other, network)[at].meaning(form), command.meaning(form), "{other:?}: {command:?}");
            }
            if at >= 2 {
                for other in [["CAFÉ-1", "A B", ""], ["CAFÉ-1", "", "A C"]] {
                    assert_ne!(commands(&other, network)[at].meaning(form), command.meaning(form), "{other:?}: {command:?}");
                }
            }
        }
    }

    /// Tags and clubs are sets in every command that has them.
    #[test]
    fn a_command_means_the_same_in_whatever_order_its_tags_and_clubs_are() {
        let form = CodeForm::CURRENT;
        let meanings = |tags: &[&str], clubs: &[u32]| -> Vec<u64> {
            let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
            let clubs: Vec<ClubId> = clubs.iter().copied().map(ClubId).collect();
            with_sets(&tags, &clubs).iter().map(|command| command.meaning(form)).collect()
        };
        let expected = meanings(&["a", "b", "c"], &[1, 2, 3]);
        for tags in [["c", "a", "b"], ["b", "a", "c"]] {
            for clubs in [[3, 1, 2], [2, 1, 3]] {
                assert_eq!(meanings(&tags, &clubs), expected, "{tags:?} {clubs:?}");
            }
        }
        assert_eq!(meanings(&["a", "b", "c", "a"], &[3, 1, 2, 3]), expected);
        for (others, at) in meanings(&["a", "b"], &[1, 2]).into_iter().zip(expected).zip(0..) {
            assert_ne!(others.0, others.1, "{at}");
        }
    }

    fn with_sets(tags: &[String], clubs: &[ClubId]) -> Vec<AnyCommand> {
        let (client, club, amount) = (ClientId(7), ClubId(1), Money(100));
        let note = || Note { tags: tags.to_vec(), ..Note::default() };
        let terms = Terms { clubs: clubs.to_vec(), ..Terms::new("Spring", Money(1)) };
        let rule = RuleTerms {
            name: "Fridays".into(),
            description: String::new(),
            active: true,
            clubs: clubs.to_vec(),
            event: RuleEvent::BalanceToppedUp,
            conditions: String::new(),
            actions: Vec::new(),
            tags: tags.to_vec(),
        };
        let grant = Grant {
            name: "gateway".into(),
            role: Role::Gateway,
            clubs: clubs.to_vec(),
            reasons: true,
            secret: Secret::Token([1; 32]),
        };
        let lines = CodeTexts::default();
        let update = UpdateCampaign { campaign: CampaignId(1), clubs: Some(clubs.to_vec()), ..UpdateCampaign::default() };
        let changes = RuleChanges { tags: Some(tags.to_vec()), clubs: Some(clubs.to_vec()), ..RuleChanges::default() };
        let (top_up, payment, part) = (Position(5), Position(6), None);
        vec![
            AnyCommand::TopUp(TopUp { client, club, amount, source: TopUpSource::Cash, note: note() }),
            AnyCommand::RefundTopUp(RefundTopUp { top_up, amount: part, claw_back: false, note: note() }),
            AnyCommand::CreditBonus(CreditBonus { client, club: Some(club), amount, note: note() }),
            AnyCommand::WriteOffBonus(WriteOffBonus { client, club: None, amount, note: note() }),
            AnyCommand::PayBonus(PayBonus { client, club, amount, paid_for: PaidFor::Order, note: note() }),
            AnyCommand::RefundBonus(RefundBonus { payment, amount: part, note: note() }),
            AnyCommand::RecordSession(RecordSession { client, club, price: amount, paid_from: PaidFrom::Directly, note: note() }),
            AnyCommand::RecordPurchase(RecordPurchase {
                client,
                club,
                price: amount,
                paid_from: PaidFrom::Directly,
                note: note(),
            }),
            AnyCommand::CreateCampaign(CreateCampaign { terms, lines, on_conflict: OnConflict::Skip }),
            AnyCommand::UpdateCampaign(update),
            AnyCommand::AddCredential(AddCredential { grant }),
            AnyCommand::CreateRule(CreateRule { terms: rule }),
            AnyCommand::UpdateRule(UpdateRule { rule: RuleId(1), changes }),
        ]
    }
}
