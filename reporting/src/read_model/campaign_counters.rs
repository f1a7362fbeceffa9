//! The campaigns in memory, as the projection needs them at every activation, and their rows.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Row, params};
use scrip_protocol::command::Terms;
use scrip_protocol::{ClubId, Money};

use super::use_counts::{Use, Uses};
use super::values::{json, number};

/// The value of `code.archived` for a code that stayed archived when its campaign was restored.
pub(super) const LEFT: u8 = 1;
/// The value of `code.archived` for a code that was archived individually.
pub(super) const ALONE: u8 = 2;

/// A campaign: its terms and its counters, as in the table.
#[derive(Debug, Clone)]
pub(super) struct Campaign {
    pub(super) terms: Terms,
    pub(super) created_ms: u64,
    pub(super) archived_ms: Option<u64>,
    pub(super) codes: u32,
    pub(super) codes_archived: u32,
    pub(super) codes_activated: u32,
    pub(super) codes_exhausted: u32,
    pub(super) archived_activated: u32,
    pub(super) archived_exhausted: u32,
    pub(super) activations: u64,
    pub(super) issued: i64,
    pub(super) refunds: u64,
    /// `None` if the amount taken back before the beginning is unknown.
    pub(super) taken_back: Option<i64>,
    pub(super) uncollected: i64,
    pub(super) last_activation: Option<u64>,
    /// The codes that are archived according to their rows, with the value of `code.archived`.
    pub(super) archived: BTreeMap<u32, u8>,
}

impl Campaign {
    pub(super) fn new(terms: Terms, created_ms: u64) -> Campaign {
        Campaign {
            terms,
            created_ms,
            archived_ms: None,
            codes: 0,
            codes_archived: 0,
            codes_activated: 0,
            codes_exhausted: 0,
            archived_activated: 0,
            archived_exhausted: 0,
            activations: 0,
            issued: 0,
            refunds: 0,
            taken_back: Some(0),
            uncollected: 0,
            last_activation: None,
            archived: BTreeMap::new(),
        }
    }

    /// How often a code may be activated.
    pub(super) fn cap(&self) -> u32 {
        cap(&self.terms)
    }

    /// Counts a change of a code's activations.
    pub(super) fn moved(&mut self, slot: u32, before: u32, after: u32) {
        let (cap, archived) = (self.cap(), self.archived.contains_key(&slot));
        let count = |counter: &mut u32, was: bool, is: bool| *counter = (*counter + u32::from(is)).saturating_sub(was.into());
        count(&mut self.codes_activated, before > 0, after > 0);
        count(&mut self.codes_exhausted, before >= cap, after >= cap);
        if archived {
            count(&mut self.archived_activated, before > 0, after > 0);
            count(&mut self.archived_exhausted, before >= cap, after >= cap);
        }
    }

    /// Counts that a code is archived by itself.
    pub(super) fn archive(&mut self, slot: u32, of: Use) {
        if self.archived.insert(slot, ALONE).is_none() {
            let (activated, exhausted) = self.counted(of);
            self.codes_archived += 1;
            self.archived_activated += activated;
            self.archived_exhausted += exhausted;
        }
    }

    /// Counts that an archived code is restored by itself.
    pub(super) fn restore(&mut self, slot: u32, of: Use) {
        if self.archived.remove(&slot).is_some() {
            let (activated, exhausted) = self.counted(of);
            let counters = [&mut self.codes_archived, &mut self.archived_activated, &mut self.archived_exhausted];
            // A counter that is about to be recounted may be less.
            counters.into_iter().zip([1, activated, exhausted]).for_each(|(of, by)| *of = of.saturating_sub(by));
        }
    }

    /// What a code counts for among the activated and the exhausted codes.
    fn counted(&self, of: Use) -> (u32, u32) {
        (u32::from(of.activations > 0), u32::from(of.activations >= self.cap()))
    }

    /// Recounts everything that depends on the limit and on the archived codes, from the uses of all codes that were ever
    /// activated.
    pub(super) fn recount(&mut self, uses: impl Iterator<Item = (u32, Use)>) {
        (self.codes_archived, self.codes_exhausted) = (self.archived.len() as u32, 0);
        (self.archived_activated, self.archived_exhausted) = (0, 0);
        for (slot, of) in uses {
            let (activated, exhausted) = self.counted(of);
            self.codes_exhausted += exhausted;
            if self.archived.contains_key(&slot) {
                self.archived_activated += activated;
                self.archived_exhausted += exhausted;
            }
        }
    }
}

/// How often a code may be activated. The engine counts the uses of a code in 32 bits, so a code without a limit ends there
/// too.
pub(super) fn cap(terms: &Terms) -> u32 {
    terms.activations_per_code_max.unwrap_or(u32::MAX)
}

/// The campaigns, and which of them have changed since they were last written.
#[derive(Debug, Default)]
pub(super) struct Campaigns {
    of: BTreeMap<u32, Campaign>,
    changed: BTreeSet<u32>,
    /// Those whose counters are to be recounted before they are written.
    stale: BTreeSet<u32>,
}

impl Campaigns {
    /// Reads the table.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Campaigns> {
        let mut campaigns = Campaigns::default();
        let mut statement = connection.prepare("SELECT * FROM campaign")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            campaigns.of.insert(row.get("campaign")?, read(row)?);
        }
        for (campaign, of) in &mut campaigns.of {
            if of.codes_archived == 0 {
                continue;
            }
            let mut statement =
                connection.prepare_cached("SELECT slot, archived FROM code WHERE campaign = ? AND archived > 0")?;
            of.archived = statement.query_map([campaign], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        }
        Ok(campaigns)
    }

    /// A campaign.
    pub(super) fn of(&self, campaign: u32) -> Option<&Campaign> {
        self.of.get(&campaign)
    }

    /// A campaign, for a change.
    pub(super) fn of_mut(&mut self, campaign: u32) -> Option<&mut Campaign> {
        let of = self.of.get_mut(&campaign)?;
        self.changed.insert(campaign);
        Some(of)
    }

    /// A new campaign.
    pub(super) fn insert(&mut self, campaign: u32, of: Campaign) {
        self.of.insert(campaign, of);
        self.changed.insert(campaign);
    }

    /// A campaign's codes are counted otherwise from now on. They are recounted once, at the end of the transaction, however often
    /// that happens in it.
    pub(super) fn recount_later(&mut self, campaign: u32) {
        self.stale.insert(campaign);
    }

    /// How many campaigns are to be recounted.
    #[cfg(test)]
    pub(super) fn recounts_due(&self) -> usize {
        self.stale.len()
    }

    /// Recounts the codes of campaigns where that is due.
    pub(super) fn recount(&mut self, connection: &Connection, uses: &mut Uses) -> rusqlite::Result<()> {
        for campaign in std::mem::take(&mut self.stale) {
            if let Some(of) = self.of_mut(campaign) {
                of.recount(uses.all(connection, campaign)?);
            }
        }
        Ok(())
    }

    /// Writes the changes.
    pub(super) fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(
            "INSERT OR REPLACE INTO campaign VALUES
             (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27)",
        )?;
        for campaign in std::mem::take(&mut self.changed) {
            let Some(of) = self.of.get(&campaign) else { continue };
            let terms = &of.terms;
            statement.execute(params![
                campaign,
                terms.name,
                terms.amount.0,
                json(&terms.clubs),
                terms.starts_ms.map(number),
                terms.ends_ms.map(number),
                terms.enforce_period,
                terms.activations_per_code_max,
                terms.activations_per_client_max,
                terms.activations_max.map(number),
                terms.budget.map(|budget| budget.0),
                terms.low_stock,
                terms.active,
                number(of.created_ms),
                of.archived_ms.map(number),
                of.codes,
                of.codes_archived,
                of.codes_activated,
                of.codes_exhausted,
                of.archived_activated,
                of.archived_exhausted,
                number(of.activations),
                of.issued,
                number(of.refunds),
                of.taken_back,
                of.uncollected,
                of.last_activation.map(number),
            ])?;
        }
        Ok(())
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Campaign> {
    let maybe = |name| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(name)?.map(|value| value as u64));
    let count = |name| Ok::<_, rusqlite::Error>(row.get::<_, i64>(name)? as u64);
    let clubs: Vec<ClubId> = serde_json::from_str(&row.get::<_, String>("clubs")?).unwrap_or_default();
    let terms = Terms {
        name: row.get("name")?,
        amount: Money(row.get("amount")?),
        clubs,
        starts_ms: maybe("starts_ms")?,
        ends_ms: maybe("ends_ms")?,
        enforce_period: row.get("enforce_period")?,
        activations_per_code_max: row.get("activations_per_code_max")?,
        activations_per_client_max: row.get("activations_per_client_max")?,
        activations_max: maybe("activations_max")?,
        budget: row.get::<_, Option<i64>>("budget")?.map(Money),
        low_stock: row.get("low_stock")?,
        active: row.get("active")?,
    };
    Ok(Campaign {
        archived_ms: maybe("archived_ms")?,
        codes: row.get("codes")?,
        codes_archived: row.get("codes_archived")?,
        codes_activated: row.get("codes_activated")?,
        codes_exhausted: row.get("codes_exhausted")?,
        archived_activated: row.get("archived_activated")?,
        archived_exhausted: row.get("archived_exhausted")?,
        activations: count("activations")?,
        issued: row.get("issued")?,
        refunds: count("refunds")?,
        taken_back: row.get("taken_back")?,
        uncollected: row.get("uncollected")?,
        last_activation: maybe("last_activation")?,
        ..Campaign::new(terms, count("created_ms")?)
    })
}

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "a random test prints its seed")]
mod tests {
    use super::*;

    /// The counters of codes follow each activation, refund, archive and restore of a code, and equal a recount of all codes.
    #[test]
    fn codes_counted_one_by_one_equal_a_recount() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        for cap in [1, 2, u32::MAX] {
            let mut of = Campaign::new(Terms { activations_per_code_max: Some(cap), ..Terms::new("Summer", Money(1)) }, 0);
            let mut uses = [Use::default(); 20];
            for step in 0..2_000 {
                let slot = random.u32(..20);
                let used = &mut uses[slot as usize];
                match random.u32(..5) {
                    0 | 1 if used.activations < cap => {
                        (used.activations, used.ever) = (used.activations + 1, used.ever + 1);
                        of.moved(slot, used.activations - 1, used.activations);
                    }
                    2 if used.activations > 0 => {
                        used.activations -= 1;
                        of.moved(slot, used.activations + 1, used.activations);
                    }
                    // Both also for a code that is archived already, or not archived.
                    3 => of.archive(slot, *used),
                    4 => of.restore(slot, *used),
                    _ => {}
                }
                let counters = |of: &Campaign| {
                    [of.codes_archived, of.codes_activated, of.codes_exhausted, of.archived_activated, of.archived_exhausted]
                };
                let mut again = of.clone();
                again.recount((0..).zip(uses).filter(|(_, used)| used.ever > 0));
                assert_eq!(counters(&of), counters(&again), "cap {cap}, step {step}");
            }
        }
    }
}
