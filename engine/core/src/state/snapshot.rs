//! Conversion between a state and a snapshot's tables.

use std::sync::Arc;

use scrip_protocol::codes::RecordedForm;
use scrip_protocol::{CampaignId, ClientId, Position};

use super::frozen::{Base, FormRow, Homes, MemberRow, NameRow, Places, RequestRow, Small, UsesRow};
use super::given_back::GivenBack;
use super::uses::{self, FrozenUses};
use super::{Campaigns, Clients, Clubs, Credentials, Groups, Holds, Readers, Requests, Rules, State};
use crate::slot_table::HashKey;

/// Results of writing a snapshot's large tables that reading them needs.
#[derive(Debug, Default)]
pub struct Laid {
    /// The location of each campaign's codes.
    pub places: Vec<Places>,
    /// The range of rows of client uses for each campaign.
    pub uses: Vec<(u64, u64)>,
    /// The latest time of a remembered request's id.
    pub newest_request_ms: u64,
    /// Number of homes of each index.
    pub homes: Homes,
    /// The hash key of the tables.
    pub key: HashKey,
}

impl State {
    /// The state of a snapshot at a position.
    pub fn over(base: Base, position: Position) -> State {
        let Small { now_ms, settings, clubs, campaigns, holds, groups, rules, credentials, readers, window, .. } = base.small;
        let recorded_form = base.form.map(|row| RecordedForm { form: row.form, unicode: row.unicode });
        let meant_from_ms = base.form.map_or(0, |row| row.meant_from_ms);
        let uses = Arc::new(FrozenUses { rows: base.uses, index: base.uses_index });
        let mut campaigns = Campaigns::over(campaigns, base.codes, &uses);
        let credentials = Credentials::over(credentials);
        let holds = Holds::over(holds, &mut campaigns, &base.revoked_holders);
        State {
            position,
            now_ms,
            settings,
            recorded_form,
            clubs: Clubs::over(clubs),
            clients: Clients::over(base.clients, base.counts, base.clients_index, base.names, base.name_texts),
            campaigns,
            holds,
            groups: Groups::over(groups, base.members),
            rules: Rules::over(rules),
            given_back: GivenBack::over(base.refunded, base.given_back),
            credentials,
            readers: Readers::over(readers, &base.reader_owners),
            requests: Requests::over(&window, meant_from_ms, base.forgotten, base.requests, base.replies, base.requests_index),
        }
    }

    /// The small part of the state, for a snapshot with this layout of its large tables.
    pub fn small(&self, laid: &Laid) -> Small {
        let of_campaign = laid.places.iter().zip(&laid.uses).zip(self.campaigns.after(CampaignId(0)));
        Small {
            now_ms: self.now_ms,
            settings: self.settings.clone(),
            clubs: self.clubs.after(scrip_protocol::ClubId(0)).map(|(_, name)| name.to_owned()).collect(),
            campaigns: of_campaign.map(|((places, uses), (_, campaign))| campaign.base(*places, *uses)).collect(),
            holds: self.holds.rows().map(|(position, hold)| (position, hold.clone())).collect(),
            groups: self.groups.rows().to_vec(),
            rules: self.rules.rows(),
            credentials: self.credentials.rows().to_vec(),
            readers: self.readers.iter().map(|(name, row)| (name.to_owned(), row)).collect(),
            window: self.requests.window(laid.newest_request_ms),
            key: laid.key,
            homes: laid.homes,
        }
    }

    /// The row of the form of codes, if the settings have one.
    pub fn form_row(&self) -> Option<FormRow> {
        let RecordedForm { form, unicode } = self.recorded_form?;
        Some(FormRow { form, unicode, zero: 0, meant_from_ms: self.requests.meant_from_ms() })
    }

    /// The rows of group members.
    pub fn member_rows(&self) -> impl Iterator<Item = MemberRow> {
        self.groups.members().map(|(client, group)| MemberRow { client: client.0, group: group.0.into(), zero: 0 })
    }

    /// The rows of the clients' names, and the bytes of each.
    pub fn name_rows(&self) -> impl Iterator<Item = (NameRow, &[u8])> {
        let mut end = 0;
        self.clients.names().map(move |(client, name)| {
            let row = NameRow { client: client.0, start: end, bytes: name.len() as u64 };
            end += row.bytes;
            (row, name.as_bytes())
        })
    }

    /// The rows of a campaign's client uses, in the order of client ids.
    pub fn uses_rows(&self, campaign: CampaignId) -> impl Iterator<Item = UsesRow> {
        let of = self.campaigns.of(campaign).and_then(|of| of.clients.as_ref());
        let row = move |(client, uses): (ClientId, u32)| UsesRow { client: client.0, campaign: campaign.0, uses, zero: 0 };
        of.into_iter().flat_map(|of| of.in_order()).map(row)
    }

    /// Calls `each` with the row of each remembered request and the bytes of its reply. Returns the latest time of their ids.
    pub fn each_request_row(&self, each: impl FnMut(RequestRow, &[u8])) -> u64 {
        self.requests.each_row(each)
    }
}

/// The hash under which a snapshot finds a client's uses in a campaign.
pub fn hash_of_use(key: HashKey, row: &UsesRow) -> u64 {
    uses::hash_of(key, CampaignId(row.campaign), ClientId(row.client))
}
