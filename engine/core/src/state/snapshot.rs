//! Between a state and a snapshot's tables: how a state takes these over, and what of itself it gives for the next ones.

use std::sync::Arc;

use scrip_protocol::codes::RecordedForm;
use scrip_protocol::{CampaignId, ClientId, Position};

use super::frozen::{Base, FormRow, HashKey, Homes, MemberRow, NameRow, Places, RequestRow, Small, UsesRow};
use super::given_back::GivenBack;
use super::uses::{self, FrozenUses};
use super::{Campaigns, Clients, Clubs, Credentials, Groups, Holds, Readers, Requests, Rules, State};

/// What is known of a snapshot's large tables once they are written, and needed to read them.
#[derive(Debug, Default)]
pub struct Laid {
    /// Where the codes of each campaign stand.
    pub places: Vec<Places>,
    /// The rows of what clients have activated, of each campaign: the first, and the one behind the last.
    pub uses: Vec<(u64, u64)>,
    /// The latest time of a remembered request's id.
    pub newest_request_ms: u64,
    /// How many homes each index has.
    pub homes: Homes,
    /// What the tables are hashed with.
    pub key: HashKey,
}

impl State {
    /// The state of a snapshot that stands at a position.
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

    /// What of the state is little, for a snapshot whose large tables are laid out so.
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

    /// The row of the form of codes, if the settings name one.
    pub fn form_row(&self) -> Option<FormRow> {
        let RecordedForm { form, unicode } = self.recorded_form?;
        Some(FormRow { form, unicode, zero: 0, meant_from_ms: self.requests.meant_from_ms() })
    }

    /// The rows of who is in which group.
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

    /// The rows of what clients have activated of a campaign, in the order of their ids.
    pub fn uses_rows(&self, campaign: CampaignId) -> impl Iterator<Item = UsesRow> {
        let of = self.campaigns.of(campaign).and_then(|of| of.clients.as_ref());
        let row = move |(client, uses): (ClientId, u32)| UsesRow { client: client.0, campaign: campaign.0, uses, zero: 0 };
        of.into_iter().flat_map(|of| of.in_order()).map(row)
    }

    /// Calls with the row of each remembered request, and the bytes of its reply. Returns the latest time of their ids.
    pub fn each_request_row(&self, each: impl FnMut(RequestRow, &[u8])) -> u64 {
        self.requests.each_row(each)
    }
}

/// The hash under which a snapshot finds what a client has activated of a campaign.
pub fn hash_of_use(key: HashKey, row: &UsesRow) -> u64 {
    uses::hash_of(key, CampaignId(row.campaign), ClientId(row.client))
}
