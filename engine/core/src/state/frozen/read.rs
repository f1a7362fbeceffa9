//! Reading the sections of a snapshot as the base of a state.

use std::ops::Range;
use std::sync::Arc;

use bytemuck::Pod;
use scrip_protocol::wire;

use super::{Base, CampaignBase, FrozenCodes, Part, Small};
use crate::rows::{Ground, Rows};
use crate::slot_table::FixedTable;
use crate::state::requests::Forgotten;

impl Base {
    /// The tables of a snapshot in a format version, read in place from its sections.
    ///
    /// # Errors
    /// If a section is missing or invalid, or the sections contradict one another.
    pub fn read(version: u32, section: impl Fn(Part) -> Option<(Ground, Range<u64>)>) -> Result<Base, &'static str> {
        let sections = SectionReader { version, section };
        let small = sections.rows::<u8>(Part::Small)?;
        let small: Small = wire::decode("small", &small).map_err(|_| "its small part is not one")?;
        let (key, homes) = (small.key, small.homes);
        let index = |part, homes| Ok::<_, &'static str>(FixedTable::new(sections.rows(part)?, homes, key));
        let codes = FrozenCodes {
            texts: sections.rows(Part::CodeTexts)?,
            ends: sections.rows(Part::CodeEnds)?,
            activations: sections.rows(Part::CodeActivations)?,
            index: index(Part::CodeSlots, homes.codes)?,
            places: small.campaigns.iter().map(|campaign| campaign.places).collect(),
        };
        let forgotten = sections.forgotten()?.unwrap_or_else(|| {
            // Version 1 forgot ids that had expired by the time of records, without moving the horizon.
            let passed_ms = small.now_ms.saturating_sub(small.window.window_ms);
            Forgotten::before(small.window.horizon_ms.max(passed_ms))
        });
        let base = Base {
            clients: sections.rows(Part::Clients)?,
            counts: sections.rows(Part::ClientCounts)?,
            clients_index: index(Part::ClientSlots, homes.clients)?,
            names: sections.rows(Part::ClientNames)?,
            name_texts: sections.rows(Part::ClientNameTexts)?,
            members: sections.rows(Part::Members)?,
            uses: sections.rows(Part::Uses)?,
            uses_index: index(Part::UsesSlots, homes.uses)?,
            requests: sections.rows(Part::Requests)?,
            replies: sections.rows(Part::Replies)?,
            requests_index: index(Part::RequestSlots, homes.requests)?,
            forgotten,
            refunded: sections.rows(Part::Refunded)?,
            given_back: sections.rows(Part::GivenBack)?,
            reader_owners: sections.rows(Part::ReaderOwners)?,
            revoked_holders: sections.rows(Part::RevokedHolders)?,
            form: sections.rows(Part::CodeForm)?.first().copied(),
            codes: Arc::new(codes),
            small,
        };
        check_places(&base)?;
        Ok(base)
    }
}

impl Forgotten {
    /// The times of the forgotten requests; `None` for a snapshot of version 1, which does not contain them.
    ///
    /// # Errors
    /// If the section is missing or invalid.
    pub fn read(version: u32, section: impl Fn(Part) -> Option<(Ground, Range<u64>)>) -> Result<Option<Forgotten>, &'static str> {
        SectionReader { version, section }.forgotten()
    }
}

struct SectionReader<F> {
    version: u32,
    section: F,
}

impl<F: Fn(Part) -> Option<(Ground, Range<u64>)>> SectionReader<F> {
    fn rows<T: Pod>(&self, part: Part) -> Result<Rows<T>, &'static str> {
        debug_assert_eq!(size_of::<T>(), part.row_bytes(), "{}", part.word());
        match (self.section)(part) {
            Some((ground, bytes)) => Rows::over(&ground, bytes).ok_or("a section does not end with a whole row"),
            None if part.is_lacking(self.version) => Ok(Rows::default()),
            None => Err("a section is missing"),
        }
    }

    fn forgotten(&self) -> Result<Option<Forgotten>, &'static str> {
        if Part::Forgotten.is_lacking(self.version) {
            return Ok(None);
        }
        let rows = Forgotten::from_rows(&self.rows(Part::Forgotten)?);
        rows.map(Some).ok_or("the times of its forgotten requests are not in order")
    }
}

/// Checks that all references to rows are within the tables.
fn check_places(base: &Base) -> Result<(), &'static str> {
    let codes = &base.codes;
    if codes.ends.len() != codes.activations.len() || base.clients.len() != base.counts.len() {
        return Err("tables of the same rows have different lengths");
    }
    let (mut rows, mut text) = (0, 0);
    let follows = |campaign: &CampaignBase| {
        let places = &campaign.places;
        let (first, text_first) = (rows, text);
        rows += places.count as usize;
        text += places.text_bytes;
        let uses_within = campaign.clients.is_none_or(|(_, _, (first, end))| first <= end && end <= base.uses.len() as u64);
        places.first as usize == first && places.text == text_first && uses_within
    };
    if !base.small.campaigns.iter().all(follows) || rows != codes.ends.len() || text != codes.texts.len() as u64 {
        return Err("its campaigns do not have the codes that there are");
    }
    Ok(())
}
