//! Writing a state as the sections of a snapshot.

use bytemuck::{Pod, bytes_of};
use scrip_protocol::codes::NormalisedCode;
use scrip_protocol::{CampaignId, wire};

use super::{Part, Places};
use crate::slot_table::{HashKey, freeze, leave_prevailing};
use crate::state::State;
use crate::state::snapshot::{Laid, hash_of_use};

/// Receives the sections, one after the other.
pub trait Sections {
    /// Why a section cannot be written.
    type Error;

    /// Begins a section.
    fn begin(&mut self, part: Part);

    /// Appends bytes to the section.
    ///
    /// # Errors
    /// If they cannot be written; likewise below.
    fn push(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Ends the section.
    ///
    /// # Errors
    /// If it cannot be written.
    fn end(&mut self) -> Result<(), Self::Error>;
}

/// Writes every section of a state. `key` is the hash key of its indexes.
///
/// # Errors
/// The first error of [`Sections`].
pub fn write_sections<S: Sections>(state: &State, key: HashKey, sections: &mut S) -> Result<(), S::Error> {
    let mut laid = Laid { key, ..Laid::default() };
    write_codes(sections, state, &mut laid)?;
    rows(sections, Part::Clients, state.clients.rows().copied())?;
    rows(sections, Part::ClientCounts, state.clients.counts().copied())?;
    laid.homes.clients = slots(sections, Part::ClientSlots, state.clients.rows().map(|row| key.hash_id(row.id)), |_| {})?;
    rows(sections, Part::ClientNames, state.name_rows().map(|(row, _)| row))?;
    sections.begin(Part::ClientNameTexts);
    state.name_rows().try_for_each(|(_, name)| sections.push(name))?;
    sections.end()?;
    rows(sections, Part::Members, state.member_rows())?;
    write_uses(sections, state, &mut laid)?;
    write_requests(sections, state, &mut laid)?;
    rows(sections, Part::Forgotten, state.requests.forgotten().rows().iter().copied())?;
    rows(sections, Part::Refunded, state.given_back.refunded().map(|activation| activation.0))?;
    rows(sections, Part::GivenBack, state.given_back.rows())?;
    rows(sections, Part::ReaderOwners, state.readers.owner_rows())?;
    rows(sections, Part::RevokedHolders, state.holds.revoked_rows())?;
    rows(sections, Part::CodeForm, state.form_row().into_iter())?;
    sections.begin(Part::Small);
    let mut small = Vec::new();
    wire::encode(&state.small(&laid), &mut small);
    sections.push(&small)?;
    sections.end()?;
    Ok(())
}

fn rows<S: Sections, T: Pod>(sections: &mut S, part: Part, rows: impl Iterator<Item = T>) -> Result<(), S::Error> {
    debug_assert_eq!(size_of::<T>(), part.row_bytes(), "{}", part.word());
    sections.begin(part);
    for row in rows {
        sections.push(bytes_of(&row))?;
    }
    sections.end()
}

/// Writes the slots of an index. Returns the number of homes.
fn slots<S: Sections>(
    sections: &mut S,
    part: Part,
    hashes: impl Iterator<Item = u64>,
    contest: impl FnMut(&mut Vec<u32>),
) -> Result<u64, S::Error> {
    sections.begin(part);
    let mut result = Ok(());
    let homes = freeze(hashes.zip(0..), contest, |slot| {
        if result.is_ok() {
            result = sections.push(bytes_of(&slot));
        }
    });
    result?;
    sections.end()?;
    Ok(homes)
}

fn write_codes<S: Sections>(sections: &mut S, state: &State, laid: &mut Laid) -> Result<(), S::Error> {
    let campaigns = || state.campaigns.after(CampaignId(0)).map(|(_, campaign)| campaign);
    sections.begin(Part::CodeTexts);
    let (mut first, mut text) = (0, 0);
    for campaign in campaigns() {
        let mut text_bytes = 0;
        for code in campaign.codes.iter() {
            sections.push(code.as_bytes())?;
            text_bytes += code.len() as u64;
        }
        let places = Places { first, count: campaign.codes.len() as u32, text, text_bytes };
        (first, text) = (first + places.count, text + text_bytes);
        laid.places.push(places);
    }
    sections.end()?;
    let ends = campaigns().flat_map(|campaign| {
        campaign.codes.iter().scan(0, |end, code| {
            *end += code.len() as u32;
            Some(*end)
        })
    });
    rows(sections, Part::CodeEnds, ends)?;
    rows(sections, Part::CodeActivations, campaigns().flat_map(|campaign| campaign.activations_by_slot()))?;
    // Every code in a state is valid; an invalid one could not be found by any text.
    let form = state.code_form();
    let hash = |code: &str| form.normalise(code).map_or(0, |code| laid.key.hash(code.as_bytes()));
    let hashes = campaigns().flat_map(|campaign| campaign.codes.iter()).map(hash);
    laid.homes.codes = slots(sections, Part::CodeSlots, hashes, |rows| leave_holders(state, &laid.places, rows))?;
    Ok(())
}

/// Of codes with equal hashes, leaves those that their values belong to: for each value the one whose campaign holds it, or if
/// none does, the one that was freed last.
fn leave_holders(state: &State, places: &[Places], rows: &mut Vec<u32>) {
    let contender = |row: u32| {
        let after = places.partition_point(|places| places.first <= row);
        let slot = row - places[after - 1].first;
        let campaign = state.campaigns.of(CampaignId(after as u32));
        let value = campaign.and_then(|campaign| state.code_form().normalise(campaign.codes.of(slot as usize)?).ok());
        // A code that holds its value ranks above all freed ones.
        let freed = campaign.and_then(|campaign| campaign.freed(slot));
        (value, (freed.is_none(), freed, row))
    };
    let mut contenders: Vec<_> = rows.iter().map(|row| contender(*row)).collect();
    leave_prevailing(
        &mut contenders,
        |(a, _), (b, _)| a.as_ref().map(NormalisedCode::as_bytes).cmp(&b.as_ref().map(NormalisedCode::as_bytes)),
        |(_, a), (_, b)| a.cmp(b),
    );
    rows.clear();
    rows.extend(contenders.iter().map(|(_, (_, _, row))| *row));
}

fn write_uses<S: Sections>(sections: &mut S, state: &State, laid: &mut Laid) -> Result<(), S::Error> {
    sections.begin(Part::Uses);
    let (mut end, mut hashes) = (0, Vec::new());
    for (campaign, _) in state.campaigns.after(CampaignId(0)) {
        let first = end;
        for row in state.uses_rows(campaign) {
            sections.push(bytes_of(&row))?;
            hashes.push(hash_of_use(laid.key, &row));
            end += 1;
        }
        laid.uses.push((first, end));
    }
    sections.end()?;
    laid.homes.uses = slots(sections, Part::UsesSlots, hashes.into_iter(), |_| {})?;
    Ok(())
}

fn write_requests<S: Sections>(sections: &mut S, state: &State, laid: &mut Laid) -> Result<(), S::Error> {
    let mut result = Ok(());
    let mut hashes = Vec::with_capacity(state.requests.len());
    sections.begin(Part::Requests);
    laid.newest_request_ms = state.each_request_row(|row, _| {
        hashes.push(laid.key.hash_id(row.id));
        if result.is_ok() {
            result = sections.push(bytes_of(&row));
        }
    });
    result?;
    sections.end()?;
    let mut result = Ok(());
    sections.begin(Part::Replies);
    state.each_request_row(|_, reply| {
        if result.is_ok() {
            result = sections.push(reply);
        }
    });
    result?;
    sections.end()?;
    laid.homes.requests = slots(sections, Part::RequestSlots, hashes.into_iter(), |_| {})?;
    Ok(())
}
