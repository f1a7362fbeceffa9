//! The random requests of a workload, with every command that leaves a record.

#![expect(clippy::wildcard_enum_match_arm, reason = "of each outcome only what was done is learned from")]

use scrip_client::Client;
use scrip_protocol::command::{
    Action, AddCodes, AddCodesOutcome, AddCredential, AddCredentialOutcome, ArchiveCampaign, ArchiveCodes, ArchiveRule,
    BonusOutcome, Check, Confirm, ConfirmOutcome, CreateCampaign, CreateCampaignOutcome, CreateRule, CreateRuleOutcome,
    CreditBonus, ForgetReader, GenerateCodes, Grant, HOLD_TTL_DEFAULT_MS, HOLD_TTL_MIN_MS, Hold, HoldOutcome, KeepReader,
    OnConflict, PaidFor, PaidFrom, PayBonus, Push, RecordPurchase, RecordSession, Redeem, RedeemOutcome, Refund, RefundBonus,
    RefundTopUp, RegisterClient, RegisterClub, RegisterClubOutcome, RegisterGroup, RegisterGroupOutcome, Release,
    RestoreCampaign, RestoreCodes, RestoreRule, RevokeCredential, RuleChanges, RuleEvent, RuleTerms, Secret, SwitchCampaign,
    SwitchRule, TopUp, TopUpOutcome, UpdateCampaign, UpdateRule, WriteOffBonus,
};
use scrip_protocol::{CampaignId, ClientId, ClubId, CredentialId, GroupId, Money, Position, Role, RuleId};

use super::{Call, Learned, Workload, ask, terms};

impl Workload {
    /// One request, usually of a player.
    pub(super) fn some_call(&mut self) -> Call {
        match self.random.u32(..100) {
            0..34 => self.redeem(),
            34..42 => self.hold(),
            42..48 => self.confirm(),
            48..51 => self.release(),
            51..57 => self.refund(),
            57..62 => self.top_up(),
            62..64 => self.refund_top_up(),
            64..74 => self.bonus(),
            74..78 => self.spend(),
            78..80 => self.name_somebody(),
            80..82 => self.create_campaign(),
            82..85 => self.add_codes(),
            85..89 => self.change_campaign(),
            89..93 => self.archive_or_restore(),
            93..96 => self.archive_or_restore_codes(),
            96..98 => self.rule(),
            _ => self.operate(),
        }
    }

    fn pick<T: Copy + Default>(&mut self, from: impl Fn(&super::Known) -> &[T]) -> T {
        self.random.choice(from(&self.known)).copied().unwrap_or_default()
    }

    fn client(&mut self) -> ClientId {
        *self.random.choice(&self.known.clients).expect("there are some from the beginning")
    }

    fn club(&mut self) -> ClubId {
        if self.random.u32(..40) == 0 { ClubId(999) } else { self.pick(|known| &known.clubs) }
    }

    /// Usually one of the newest, which are not archived yet.
    fn campaign(&mut self) -> CampaignId {
        match self.random.u32(..40) {
            0 => CampaignId(9_999),
            _ => self.pick(|known| &known.campaigns),
        }
    }

    /// A code that exists, or may exist.
    fn code(&mut self) -> String {
        match self.random.u32(..16) {
            0 => "in side".to_owned(),
            1 => "a code of nobody".replace(' ', "-"),
            2..4 => terms::code(&mut self.random),
            _ => self.random.choice(&self.known.codes).map_or_else(String::new, |(_, code)| code.clone()),
        }
    }

    fn codes(&mut self, most: usize) -> Vec<String> {
        (0..self.random.usize(1..most)).map(|_| terms::code(&mut self.random)).collect()
    }

    /// Codes of a campaign.
    fn codes_of(&mut self, campaign: CampaignId, most: usize) -> Vec<String> {
        let all: Vec<String> = self.known.codes.iter().filter(|(of, _)| *of == campaign).map(|(_, code)| code.clone()).collect();
        (0..self.random.usize(1..most)).filter_map(|_| self.random.choice(&all).cloned()).collect()
    }

    /// The redeeming caller: usually a gateway.
    fn redeemer(&mut self) -> Client {
        if self.random.u32(..4) == 0 { self.operator.clone() } else { self.gateway.clone() }
    }

    fn teller(&mut self) -> Client {
        [&self.operator, &self.cashier, &self.cashier][self.random.usize(..3)].clone()
    }

    fn marketer(&mut self) -> Client {
        [&self.operator, &self.marketing, &self.marketing][self.random.usize(..3)].clone()
    }

    pub(super) fn redeem(&mut self) -> Call {
        let top_up = if self.random.u32(..4) == 0 { self.pick(|known| &known.top_ups) } else { Position(0) };
        let redeem = Redeem { top_up, ..Redeem::new(self.client(), self.club(), self.code()) };
        ask(&self.redeemer(), redeem, |outcome| match outcome {
            RedeemOutcome::Redeemed(done) => Learned::Activation(done.activation),
            _ => Learned::Nothing,
        })
    }

    fn hold(&mut self) -> Call {
        let ttl_ms = [HOLD_TTL_MIN_MS, HOLD_TTL_MIN_MS, HOLD_TTL_DEFAULT_MS, HOLD_TTL_DEFAULT_MS, 0];
        let ttl_ms = ttl_ms[self.random.usize(..5).min(self.random.usize(..6))];
        let hold = Hold::new(self.client(), self.club(), self.code(), ttl_ms);
        ask(&self.redeemer(), hold, |outcome| match outcome {
            HoldOutcome::Held(held) => Learned::Hold(held.hold, held.expires_ms),
            _ => Learned::Nothing,
        })
    }

    fn some_hold(&mut self) -> Position {
        let holds = &self.known.holds;
        let from = if self.random.bool() { holds.len().saturating_sub(12) } else { 0 };
        self.random.choice(&holds[from..]).map_or(Position(3), |(hold, _)| *hold)
    }

    fn confirm(&mut self) -> Call {
        let confirm = Confirm { hold: self.some_hold(), top_up: self.pick(|known| &known.top_ups) };
        ask(&self.operator, confirm, |outcome| match outcome {
            ConfirmOutcome::Confirmed(done) => Learned::Activation(done.activation),
            _ => Learned::Nothing,
        })
    }

    fn release(&mut self) -> Call {
        let hold = self.some_hold();
        ask(&self.operator, Release { hold }, |_| Learned::Nothing)
    }

    fn refund(&mut self) -> Call {
        let force = self.random.bool();
        let from = self.known.activations.len().saturating_sub(40);
        let activation = self.random.choice(&self.known.activations[from..]).copied().unwrap_or_default();
        ask(&self.operator, Refund { activation, force }, |_| Learned::Nothing)
    }

    fn top_up(&mut self) -> Call {
        let amount = Money([0, 100, 5_000, 50_000, 100_000, 123_456][self.random.usize(1..6).min(self.random.usize(..60))]);
        let (source, note) = (terms::source(&mut self.random), terms::note(&mut self.random));
        let top_up = TopUp { client: self.client(), club: self.club(), amount, source, note };
        ask(&self.teller(), top_up, |outcome| match outcome {
            TopUpOutcome::ToppedUp(done) => Learned::TopUp(done.top_up),
            _ => Learned::Nothing,
        })
    }

    fn refund_top_up(&mut self) -> Call {
        let (top_up, note) = (self.pick(|known| &known.top_ups), terms::note(&mut self.random));
        let amount = self.random.bool().then(|| terms::money(&mut self.random));
        let refund = RefundTopUp { top_up, amount, claw_back: self.random.bool(), note };
        ask(&self.teller(), refund, |_| Learned::Nothing)
    }

    fn bonus(&mut self) -> Call {
        let (client, amount, note) = (self.client(), terms::money(&mut self.random), terms::note(&mut self.random));
        let club = self.random.bool().then(|| self.club());
        match self.random.u32(..6) {
            0..2 => ask(&self.teller(), CreditBonus { client, club, amount, note }, |_| Learned::Nothing),
            2 => ask(&self.teller(), WriteOffBonus { client, club, amount, note }, |_| Learned::Nothing),
            3..5 => {
                let paid_for = if self.random.bool() { PaidFor::GamingTime } else { PaidFor::Order };
                let pay = PayBonus { client, club: self.club(), amount, paid_for, note };
                let payer = if self.random.bool() { self.gateway.clone() } else { self.cashier.clone() };
                ask(&payer, pay, |outcome| match outcome {
                    BonusOutcome::Done(done) => Learned::Payment(done.operation),
                    _ => Learned::Nothing,
                })
            }
            _ => {
                let payment = self.pick(|known| &known.payments);
                let amount = self.random.bool().then_some(Money(50));
                ask(&self.teller(), RefundBonus { payment, amount, note }, |_| Learned::Nothing)
            }
        }
    }

    fn spend(&mut self) -> Call {
        let (client, club, note) = (self.client(), self.club(), terms::note(&mut self.random));
        let price = Money([0, 250, 250, 5_000][self.random.usize(..4)]);
        let paid_from = if self.random.bool() { PaidFrom::GamingBalance } else { PaidFrom::Directly };
        match self.random.bool() {
            true => ask(&self.teller(), RecordSession { client, club, price, paid_from, note }, |_| Learned::Nothing),
            false => ask(&self.teller(), RecordPurchase { client, club, price, paid_from, note }, |_| Learned::Nothing),
        }
    }

    fn name_somebody(&mut self) -> Call {
        let name = ["Ann", "Анна", "", "=cmd|' /C calc'!A0", &"x".repeat(201)][self.random.usize(..5)].to_owned();
        ask(&self.teller(), RegisterClient { client: self.client(), name }, |_| Learned::Nothing)
    }

    pub(super) fn register_club(&mut self) -> Call {
        let name = format!("Club {}", self.random.u32(..30));
        ask(&self.operator, RegisterClub { name }, |outcome| match outcome {
            RegisterClubOutcome::Registered(club) => Learned::Club(club),
            _ => Learned::Nothing,
        })
    }

    pub(super) fn create_campaign(&mut self) -> Call {
        let (terms, codes) = (terms::terms(&mut self.random, &self.known.clubs), self.codes(60));
        let on_conflict = if self.random.u32(..4) == 0 { OnConflict::Reject } else { OnConflict::Skip };
        let create = CreateCampaign { terms, lines: codes.iter().collect(), on_conflict };
        ask(&self.marketer(), create, |outcome| match outcome {
            CreateCampaignOutcome::Created { campaign, .. } => Learned::Campaign(campaign, codes),
            _ => Learned::Nothing,
        })
    }

    fn add_codes(&mut self) -> Call {
        let campaign = self.campaign();
        if self.random.u32(..3) == 0 {
            let pattern = ["****************", "VIP-########", "##"][self.random.usize(..3)].to_owned();
            let generate = GenerateCodes { campaign, count: self.random.u32(1..8), pattern, alphabet: String::new() };
            return ask(&self.marketer(), generate, |_| Learned::Nothing);
        }
        let (codes, on_conflict) = (self.codes(12), if self.random.bool() { OnConflict::Reject } else { OnConflict::Skip });
        let add = AddCodes { campaign, lines: codes.iter().collect(), first_line: 1, on_conflict };
        ask(&self.marketer(), add, move |outcome| match outcome {
            AddCodesOutcome::Added(_) => Learned::Codes(campaign, codes),
            _ => Learned::Nothing,
        })
    }

    /// The switch, or some of the terms: limits lowered below current usage, raised or removed, another amount.
    fn change_campaign(&mut self) -> Call {
        let campaign = self.campaign();
        if self.random.u32(..4) == 0 {
            let active = self.random.u32(..3) > 0;
            return ask(&self.marketer(), SwitchCampaign { campaign, active }, |_| Learned::Nothing);
        }
        let terms = terms::terms(&mut self.random, &self.known.clubs);
        let mut update = UpdateCampaign { campaign, ..UpdateCampaign::default() };
        match self.random.u32(..8) {
            0 => update.name = Some(terms.name),
            1 => update.amount = Some(terms.amount),
            2 => update.clubs = Some(terms.clubs),
            3 => update.activations_per_client_max = Some(terms.activations_per_client_max),
            4 => (update.activations_max, update.budget) = (Some(terms.activations_max), Some(terms.budget)),
            5 => (update.starts_ms, update.ends_ms, update.enforce_period) = (Some(None), Some(None), Some(false)),
            6 => update.low_stock = Some(terms.low_stock),
            _ => update.activations_per_code_max = Some(terms.activations_per_code_max),
        }
        ask(&self.marketer(), update, |_| Learned::Nothing)
    }

    fn archive_or_restore(&mut self) -> Call {
        let campaign = self.campaign();
        match self.random.u32(..5) {
            0..2 => ask(&self.marketer(), ArchiveCampaign { campaign }, |_| Learned::Nothing),
            _ => ask(&self.marketer(), RestoreCampaign { campaign }, |_| Learned::Nothing),
        }
    }

    fn archive_or_restore_codes(&mut self) -> Call {
        let campaign = self.campaign();
        let codes = self.codes_of(campaign, 8).into_iter().collect();
        match self.random.bool() {
            true => ask(&self.marketer(), ArchiveCodes { campaign, codes }, |_| Learned::Nothing),
            false => ask(&self.marketer(), RestoreCodes { campaign, codes }, |_| Learned::Nothing),
        }
    }

    fn rule_terms(&mut self) -> RuleTerms {
        let formula = ["{{topupAmountMajor}} * 0.1", "0 - 5", "1 / {{sessionsCount}}", "topupAmountMajor"];
        let formula = formula[self.random.usize(..4).min(self.random.usize(..4))].to_owned();
        let mut actions = vec![Action::AddBonus { formula }];
        if let Some(group) = self.random.choice(&self.known.groups) {
            actions.push(Action::AssignGroup { group: *group });
        }
        if self.random.bool() {
            actions.push(Action::SendPush(Push { title: "Thanks".into(), body: "{{topupAmountMajor}} came".into() }));
        }
        RuleTerms {
            name: "A rule".into(),
            description: String::new(),
            active: self.random.u32(..3) > 0,
            clubs: terms::clubs(&mut self.random, &self.known.clubs),
            event: RuleEvent::default(),
            conditions: ["", "topupAmountMajor >= 500", "topUpSource = CASH"][self.random.usize(..3)].to_owned(),
            actions,
            tags: vec!["gold".into()],
        }
    }

    fn rule(&mut self) -> Call {
        let (rule, terms) = (self.pick::<RuleId>(|known| &known.rules), self.rule_terms());
        match self.random.u32(..8) {
            0..3 => ask(&self.marketer(), CreateRule { terms }, |outcome| match outcome {
                CreateRuleOutcome::Created { rule, .. } => Learned::Rule(rule),
                CreateRuleOutcome::InvalidRule(_) | CreateRuleOutcome::TooManyRules => Learned::Nothing,
            }),
            3..5 => ask(&self.marketer(), UpdateRule { rule, changes: RuleChanges::whole(terms) }, |_| Learned::Nothing),
            5 => ask(&self.marketer(), SwitchRule { rule, active: self.random.bool() }, |_| Learned::Nothing),
            6 => ask(&self.marketer(), ArchiveRule { rule }, |_| Learned::Nothing),
            _ => ask(&self.marketer(), RestoreRule { rule }, |_| Learned::Nothing),
        }
    }

    /// Requests of operators, and requests that leave no record.
    fn operate(&mut self) -> Call {
        match self.random.u32(..8) {
            0 => self.register_club(),
            1 => {
                let name = ["Gold", "Silver", "Gold", ""][self.random.usize(..4)].to_owned();
                ask(&self.operator, RegisterGroup { name }, |outcome| match outcome {
                    RegisterGroupOutcome::Registered(GroupId(group)) => Learned::Group(GroupId(group)),
                    _ => Learned::Nothing,
                })
            }
            2..4 => {
                let role = Role::ALL[self.random.usize(..Role::ALL.len())];
                let clubs = terms::clubs(&mut self.random, &self.known.clubs);
                let hash = self.random.u128(..).to_le_bytes();
                let hash = [hash, hash].concat().try_into().expect("twice 16 bytes");
                let secret = if self.random.bool() { Secret::Token(hash) } else { Secret::Certificate(hash) };
                let grant = Grant { name: "A till".into(), role, clubs, reasons: self.random.bool(), secret };
                ask(&self.operator, AddCredential { grant }, |outcome| match outcome {
                    AddCredentialOutcome::Added(credential) => Learned::Credential(credential),
                    _ => Learned::Nothing,
                })
            }
            4 => {
                let credential = self.pick::<CredentialId>(|known| &known.credentials);
                ask(&self.operator, RevokeCredential { credential }, |_| Learned::Nothing)
            }
            5 => {
                let reader = KeepReader { name: "sidecar".into(), position: Position(self.random.u64(..40)) };
                ask(&self.operator, reader, |_| Learned::Nothing)
            }
            6 => ask(&self.operator, ForgetReader { name: "sidecar".into() }, |_| Learned::Nothing),
            _ => {
                let check = Check::new(self.club(), vec![self.code()]);
                ask(&self.gateway, check, |_| Learned::Nothing)
            }
        }
    }
}
