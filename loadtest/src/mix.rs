//! The requests of a load: how many of each shape, which client sends them, and their frames.
//!
//! Everything is derived from a seed and a time. Shares are exact, and the order is shuffled. To add a shape: a variant of
//! [`Shape`], its share in [`Mix`], and an arm in [`Draft::write`]; the audit then needs the answers that it can have.

use scrip_protocol::command::{AddCodes, Check, Confirm, HOLD_TTL_DEFAULT_MS, Hold, OnConflict, Redeem, Release};
use scrip_protocol::frame::{push_request, set_correlation};
use scrip_protocol::{CampaignId, ClientId, ClubId, Position, RequestId};

use crate::plan::{Planned, draw_id, drawn};
use crate::top_ups;
use crate::zipf::Zipf;

/// One in this many holds is released; the others are confirmed.
const HOLDS_PER_RELEASE: u32 = 10;

/// The composition of a load. Shares are parts of 1; the rest are redemptions of codes that are each used once.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Mix {
    /// The number of clients that send the requests.
    pub clients: u64,
    /// How unevenly: the exponent of Zipf's law; 0 for evenly.
    pub zipf: f64,
    /// Redemptions of one code without a cap.
    pub hot: f64,
    /// Redemptions of one code with a cap.
    pub capped: f64,
    /// That code's cap.
    pub cap: u32,
    /// Requests that are sent again under the same id, over another connection if there is one.
    pub repeats: f64,
    /// Redemptions of codes that do not exist.
    pub misses: f64,
    /// Redemptions of codes that were already used up.
    pub spent: f64,
    /// Holds. Each brings one more request: once it is answered, it is confirmed, or one in ten released, on the same connection.
    pub holds: f64,
    /// Checks.
    pub checks: f64,
    /// How many codes each checks.
    pub check_codes: usize,
    /// Imports of new codes.
    pub imports: f64,
    /// How many codes each adds.
    pub import_codes: usize,
    /// Top-ups.
    #[serde(default)]
    pub top_ups: f64,
    /// How many rules are live for them, of which two match each.
    #[serde(default)]
    pub rules: u32,
}

impl Default for Mix {
    /// Nothing but redemptions of codes that are each used once.
    fn default() -> Mix {
        Mix {
            clients: 10_000,
            zipf: 0.0,
            hot: 0.0,
            capped: 0.0,
            cap: 1_000,
            repeats: 0.0,
            misses: 0.0,
            spent: 0.0,
            holds: 0.0,
            checks: 0.0,
            check_codes: 10,
            imports: 0.0,
            import_codes: 1_000,
            top_ups: 0.0,
            rules: 10,
        }
    }
}

/// The shape of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// The only redemption of a code.
    Distinct,
    /// A redemption of the code without a cap.
    Hot,
    /// A redemption of the code with a cap.
    Capped,
    /// A redemption of a code that does not exist.
    Miss,
    /// A redemption of a code that was already used up.
    Spent,
    /// The hold of a code that nobody else uses.
    Hold,
    /// The confirmation of a hold.
    Confirm,
    /// The release of a hold.
    Release,
    /// A check.
    Check,
    /// An import.
    Import,
    /// A top-up.
    TopUp,
    /// Any redemption; nothing is known about its answer.
    Any,
}

/// Invalid shares.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MixError {
    /// A share is not within 0 to 1.
    #[error("the share of {what} is {share}; it must be from 0 to 1")]
    Share {
        /// Of what.
        what: &'static str,
        /// The share.
        share: f64,
    },
    /// The shares add up to more than 1.
    #[error("the shares add up to {0}, which is more than 1")]
    Sum(f64),
}

impl Mix {
    /// The shares, without repeats and the rest.
    pub fn shares(&self) -> [(Shape, &'static str, f64); 8] {
        [
            (Shape::Hot, "redemptions of the hot code", self.hot),
            (Shape::Capped, "redemptions of the capped code", self.capped),
            (Shape::Miss, "misses", self.misses),
            (Shape::Spent, "spent codes", self.spent),
            (Shape::Hold, "holds", self.holds),
            (Shape::Check, "checks", self.checks),
            (Shape::Import, "imports", self.imports),
            (Shape::TopUp, "top-ups", self.top_ups),
        ]
    }

    /// Checks that the shares are valid.
    ///
    /// # Errors
    /// When a share is not within 0 to 1, or all add up to more than 1.
    pub fn checked(&self) -> Result<(), MixError> {
        let all = self.shares().map(|(_, what, share)| (what, share));
        for (what, share) in all.into_iter().chain([("repeats", self.repeats)]) {
            if !(0.0..=1.0).contains(&share) {
                return Err(MixError::Share { what, share });
            }
        }
        let sum = self.repeats + all.iter().map(|(_, share)| share).sum::<f64>();
        if sum > 1.0 + 1e-9 { Err(MixError::Sum(sum)) } else { Ok(()) }
    }
}

/// One slot of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A request of a shape, with its number within the shape.
    First(Shape, u32),
    /// A repeat of the request in another slot.
    Again(u32),
}

/// The order of a load's requests, before there are codes and campaigns for them.
#[derive(Debug)]
pub struct Draft {
    mix: Mix,
    seed: u64,
    time_ms: u64,
    /// How many consecutive requests a connection gets before the next connection's turn.
    run: usize,
    connections: usize,
    places: Vec<Place>,
    counts: [u32; Shape::Any as usize],
}

/// The targets of a draft's requests.
#[derive(Debug, Clone, Default)]
pub struct Material {
    /// The club.
    pub club: ClubId,
    /// Codes that are each used once: as many as the draft has redemptions of that shape.
    pub distinct: Vec<String>,
    /// The code without a cap.
    pub hot: String,
    /// The code with a cap.
    pub capped: String,
    /// Codes that are used up.
    pub spent: Vec<String>,
    /// Codes that are each held once: as many as the draft has holds.
    pub held: Vec<String>,
    /// The codes to import, request after request.
    pub imports: Vec<String>,
    /// The campaign for each import in turn.
    pub import_into: Vec<CampaignId>,
    /// The offset of client numbers.
    pub client_base: u128,
}

impl Draft {
    /// Draws the order of `count` requests over the connections, each of which sends `run` of them in turn.
    pub fn new(mix: &Mix, seed: u64, time_ms: u64, count: usize, connections: usize, run: usize) -> Draft {
        let mut random = fastrand::Rng::with_seed(seed ^ 0x000f_daf7);
        let of = |share: f64| (share * count as f64).round() as usize;
        let mut shapes: Vec<Option<Shape>> = Vec::with_capacity(count);
        for (shape, _, share) in mix.shares() {
            shapes.extend(std::iter::repeat_n(Some(shape), of(share).min(count - shapes.len())));
        }
        shapes.extend(std::iter::repeat_n(None, of(mix.repeats).min(count - shapes.len())));
        shapes.resize(count, Some(Shape::Distinct));
        random.shuffle(&mut shapes);
        let mut draft = Draft {
            mix: mix.clone(),
            seed,
            time_ms,
            run: run.max(1),
            connections: connections.max(1),
            places: Vec::with_capacity(count),
            counts: [0; Shape::Any as usize],
        };
        let mut number = |shape: Shape| {
            let counted = &mut draft.counts[shape as usize];
            *counted += 1;
            Place::First(shape, *counted - 1)
        };
        // A repeat needs a request to repeat: in a load of repeats alone the first is a normal request.
        let alone = !shapes.iter().flatten().any(|shape| *shape != Shape::Check);
        let repeatable: Vec<u32> = match alone {
            true => (0..1).collect(),
            false => {
                (0..).zip(&shapes).filter(|(_, shape)| shape.is_some_and(|shape| shape != Shape::Check)).map(|(n, _)| n).collect()
            }
        };
        for (at, shape) in shapes.iter().enumerate() {
            let place = match shape {
                Some(shape) => number(*shape),
                None if alone && at == 0 => number(Shape::Distinct),
                None => {
                    let elsewhere = |n: u32| (n as usize / draft.run) % draft.connections != (at / draft.run) % draft.connections;
                    let mut drawn = || repeatable[random.usize(..repeatable.len())];
                    // A few attempts find another connection almost always, if there is one.
                    let again = (0..16).map(|_| drawn()).find(|n| elsewhere(*n));
                    Place::Again(again.unwrap_or_else(&mut drawn))
                }
            };
            draft.places.push(place);
        }
        draft
    }

    /// How many requests of a shape there are, without repeats.
    pub fn count(&self, shape: Shape) -> usize {
        self.counts.get(shape as usize).map_or(0, |count| *count as usize)
    }

    /// Which connection sends the request of a slot.
    pub fn connection_of(&self, at: usize) -> usize {
        (at / self.run) % self.connections
    }

    /// Writes each connection's requests.
    pub fn write(&self, material: &Material) -> Vec<Script> {
        let zipf = Zipf::new(self.mix.clients, self.mix.zipf);
        let each = self.places.len() / self.connections + self.run;
        let mut scripts: Vec<Script> = (0..self.connections).map(|_| Script::with_capacity(each)).collect();
        for (at, place) in self.places.iter().enumerate() {
            let (of, shape, nth) = match *place {
                Place::First(shape, nth) => (at, shape, nth as usize),
                Place::Again(of) => match self.places[of as usize] {
                    Place::First(shape, nth) => (of as usize, shape, nth as usize),
                    Place::Again(_) => unreachable!("a repeat is drawn from what is no repeat"),
                },
            };
            let mut random = drawn(self.seed ^ 0x00c1_1e47, of as u64);
            let id = draw_id(self.seed, self.time_ms, of as u64);
            let script = &mut scripts[self.connection_of(at)];
            let redeem = |code: &str, random: &mut fastrand::Rng| {
                let client = ClientId(material.client_base + u128::from(zipf.draw(random)));
                Redeem::new(client, material.club, code)
            };
            match shape {
                Shape::Distinct | Shape::Any => script.push(id, shape, &redeem(&material.distinct[nth], &mut random)),
                Shape::Hot => script.push(id, shape, &redeem(&material.hot, &mut random)),
                Shape::Capped => script.push(id, shape, &redeem(&material.capped, &mut random)),
                // No generated code has hyphens.
                Shape::Miss => script.push(id, shape, &redeem(&format!("NO-SUCH-CODE-{:x}-{nth}", self.seed), &mut random)),
                Shape::Spent => script.push(id, shape, &redeem(&material.spent[nth % material.spent.len()], &mut random)),
                Shape::Hold => {
                    let Redeem { client, club, code, .. } = redeem(&material.held[nth], &mut random);
                    if matches!(place, Place::First(..)) {
                        let is_released = nth as u32 % HOLDS_PER_RELEASE == HOLDS_PER_RELEASE - 1;
                        let shape = if is_released { Shape::Release } else { Shape::Confirm };
                        // The numbers below are those of the slots.
                        let id = draw_id(self.seed, self.time_ms, (self.places.len() + at) as u64);
                        script.follows.push(Follow { hold: script.len() as u32, id, shape });
                    }
                    script.push(id, shape, &Hold::new(client, club, code, HOLD_TTL_DEFAULT_MS));
                }
                Shape::TopUp => {
                    let client = redeem("", &mut random).client;
                    script.push(id, shape, &top_ups::draw(client, material.club, &mut random));
                }
                Shape::Confirm | Shape::Release => unreachable!("what follows a hold has no place of its own"),
                Shape::Check => {
                    let pool = if material.distinct.is_empty() { &material.spent } else { &material.distinct };
                    let code = |n: usize| match pool.len() {
                        0 => format!("NO-SUCH-CODE-{n}"),
                        length => pool[random.usize(..length)].clone(),
                    };
                    let codes = (0..self.mix.check_codes).map(code).collect();
                    script.push(id, shape, &Check::new(material.club, codes));
                }
                Shape::Import => {
                    let from = nth * self.mix.import_codes;
                    let request = AddCodes {
                        campaign: material.import_into[nth],
                        lines: material.imports[from..from + self.mix.import_codes].iter().collect(),
                        first_line: 1,
                        on_conflict: OnConflict::Reject,
                    };
                    script.push(id, shape, &request);
                }
            }
        }
        scripts
    }
}

/// The requests of one connection, encoded before the clock starts so that encoding is not measured.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Script {
    ids: Vec<RequestId>,
    shapes: Vec<Shape>,
    frames: Vec<u8>,
    ends: Vec<usize>,
    /// In the order of their holds.
    follows: Vec<Follow>,
}

/// A request that follows a hold. Its id is known beforehand, its payload only once the hold is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Follow {
    /// The hold's number.
    hold: u32,
    id: RequestId,
    shape: Shape,
}

impl Script {
    fn with_capacity(count: usize) -> Script {
        Script {
            ids: Vec::with_capacity(count),
            shapes: Vec::with_capacity(count),
            frames: Vec::with_capacity(count * 72),
            ends: Vec::with_capacity(count),
            follows: Vec::new(),
        }
    }

    /// Of redemptions that were planned one by one.
    pub fn of(list: &[Planned]) -> Script {
        let mut script = Script::with_capacity(list.len());
        list.iter().for_each(|planned| script.push(planned.request, Shape::Any, &planned.redeem));
        script
    }

    fn push<C: scrip_protocol::Command>(&mut self, id: RequestId, shape: Shape, command: &C) {
        push_request(&mut self.frames, 0, id, command);
        self.ids.push(id);
        self.shapes.push(shape);
        self.ends.push(self.frames.len());
    }

    /// How many requests it has, without those that follow holds, which are numbered after these.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// How many requests follow its holds.
    pub fn follows(&self) -> usize {
        self.follows.len()
    }

    /// The number of the request that follows a hold; none for other requests and for repeats.
    pub(crate) fn follow_of(&self, n: usize) -> Option<usize> {
        let found = self.follows.binary_search_by_key(&n, |follow| follow.hold as usize);
        found.ok().map(|follow| self.len() + follow)
    }

    /// The id of a request. A check has one too, but it is not sent.
    pub fn id(&self, n: usize) -> RequestId {
        self.ids.get(n).copied().unwrap_or_else(|| self.follows[n - self.len()].id)
    }

    /// The shape of a request.
    pub fn shape(&self, n: usize) -> Shape {
        self.shapes.get(n).copied().unwrap_or_else(|| self.follows[n - self.len()].shape)
    }

    /// Appends the frame of a request that follows a hold, with its number as correlation.
    pub(crate) fn push_follow(&self, n: usize, hold: Position, out: &mut Vec<u8>) {
        let id = self.id(n);
        match self.shape(n) == Shape::Release {
            true => push_request(out, n as u64, id, &Release { hold }),
            false => push_request(out, n as u64, id, &Confirm::new(hold)),
        }
    }

    /// Appends the frame of a request, with its number as correlation.
    pub(crate) fn push_frame(&self, n: usize, out: &mut Vec<u8>) {
        let start = n.checked_sub(1).map_or(0, |before| self.ends[before]);
        let begin = out.len();
        out.extend_from_slice(&self.frames[start..self.ends[n]]);
        set_correlation(&mut out[begin..], n as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    fn mix() -> Mix {
        Mix {
            clients: 50,
            zipf: 1.0,
            hot: 0.1,
            capped: 0.1,
            repeats: 0.1,
            misses: 0.05,
            spent: 0.05,
            holds: 0.04,
            checks: 0.02,
            imports: 0.01,
            import_codes: 3,
            top_ups: 0.05,
            ..Mix::default()
        }
    }

    fn draft(seed: u64) -> Draft {
        Draft::new(&mix(), seed, 1_790_000_000_000, 1_000, 4, 5)
    }

    fn material(draft: &Draft) -> Material {
        Material {
            club: ClubId(1),
            distinct: crate::plan::draw_codes(1, draft.count(Shape::Distinct)),
            hot: "HOT".into(),
            capped: "CAPPED".into(),
            spent: vec!["SPENT".into()],
            held: crate::plan::draw_codes(3, draft.count(Shape::Hold)),
            imports: crate::plan::draw_codes(2, draft.count(Shape::Import) * 3),
            import_into: vec![CampaignId(3); draft.count(Shape::Import)],
            client_base: 0,
        }
    }

    #[test]
    fn the_same_seed_and_time_write_the_same_bytes() {
        let written = |seed| draft(seed).write(&material(&draft(seed)));
        assert_eq!(written(7), written(7));
        assert_ne!(written(7), written(8));
    }

    #[test]
    fn shares_are_kept_exactly() {
        let draft = draft(7);
        let drawn = mix().shares().map(|(shape, ..)| draft.count(shape));
        assert_eq!((draft.count(Shape::Distinct), drawn), (480, [100, 100, 50, 50, 40, 20, 10, 50]));
        let scripts = draft.write(&material(&draft));
        assert_eq!(scripts.iter().map(Script::len).collect::<Vec<_>>(), [250; 4]);
        let ids: Vec<_> = scripts.iter().flat_map(|script| &script.ids).collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 900);
    }

    #[test]
    fn each_hold_is_followed_once_under_an_id_of_its_own() {
        let draft = draft(7);
        let scripts = draft.write(&material(&draft));
        assert_eq!(scripts.iter().map(Script::follows).sum::<usize>(), 40);
        let mut ids: HashSet<_> = scripts.iter().flat_map(|script| script.ids.iter().copied()).collect();
        let mut released = 0;
        for script in &scripts {
            let numbers: Vec<_> = (0..script.len()).filter_map(|n| script.follow_of(n)).collect();
            assert_eq!(numbers, (script.len()..script.len() + script.follows()).collect::<Vec<_>>());
            for n in numbers {
                assert!(ids.insert(script.id(n)), "an id of its own");
                released += usize::from(script.shape(n) == Shape::Release);
                let mut frame = Vec::new();
                script.push_follow(n, Position(5), &mut frame);
                assert!(!frame.is_empty());
            }
        }
        assert_eq!(released, 4);
    }

    #[test]
    fn a_repeat_has_the_same_bytes_and_goes_over_another_connection() {
        let draft = draft(9);
        let scripts = draft.write(&material(&draft));
        let mut first: HashMap<RequestId, (usize, Vec<u8>)> = HashMap::new();
        let mut repeats = 0;
        for (connection, script) in scripts.iter().enumerate() {
            for n in 0..script.len() {
                let mut frame = Vec::new();
                script.push_frame(n, &mut frame);
                set_correlation(&mut frame, 0);
                match first.get(&script.id(n)) {
                    None => drop(first.insert(script.id(n), (connection, frame))),
                    Some((_, bytes)) => {
                        assert_eq!(*bytes, frame);
                        repeats += 1;
                    }
                }
            }
        }
        assert_eq!(repeats, 100);
        let again = draft.places.iter().enumerate().filter_map(|(at, place)| match place {
            Place::Again(of) => Some((at, *of as usize)),
            Place::First(..) => None,
        });
        for (at, of) in again {
            assert_ne!(draft.connection_of(at), draft.connection_of(of));
        }
    }

    #[test]
    fn each_connection_sends_a_run_before_the_next_ones_turn() {
        let draft = draft(7);
        let order: Vec<_> = (0..25).map(|at| draft.connection_of(at)).collect();
        assert_eq!(order[..5], [0; 5]);
        assert_eq!((order[5], order[19], order[20]), (1, 3, 0));
    }

    #[test]
    fn repeats_alone_have_something_to_repeat() {
        let draft = Draft::new(&Mix { repeats: 1.0, ..Mix::default() }, 1, 1, 10, 2, 1);
        assert_eq!(draft.count(Shape::Distinct), 1);
        let scripts = draft.write(&Material { distinct: vec!["ONE".into()], ..Material::default() });
        assert_eq!(scripts.iter().flat_map(|script| &script.ids).collect::<HashSet<_>>().len(), 1);
        assert!(Draft::new(&Mix { repeats: 1.0, ..Mix::default() }, 1, 1, 0, 2, 1).places.is_empty());
    }

    #[test]
    fn shares_that_cannot_be_kept_are_named() {
        assert_eq!(mix().checked(), Ok(()));
        assert!(matches!(Mix { misses: -0.1, ..mix() }.checked(), Err(MixError::Share { what: "misses", .. })));
        assert!(matches!(Mix { hot: f64::NAN, ..mix() }.checked(), Err(MixError::Share { .. })));
        assert!(matches!(Mix { hot: 0.9, ..mix() }.checked(), Err(MixError::Sum(_))));
    }
}
