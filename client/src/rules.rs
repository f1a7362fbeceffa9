//! The client's methods for the rules of top-ups.
//!
//! Methods that change something take a request id first; the others only read. A rehearsal reads the journal of a whole period,
//! so it has its own timeout.

use std::time::Duration;

use super::{Client, ClientError};
use scrip_protocol::command::{
    ArchiveRule, ArchiveRuleOutcome, CreateRule, CreateRuleOutcome, LintRule, LintRuleOutcome, ListRules, ListRulesOutcome,
    RehearseRule, RehearseRuleOutcome, RestoreRule, RestoreRuleOutcome, RuleChanges, RuleTerms, ShowRule, ShowRuleOutcome,
    SwitchRule, SwitchRuleOutcome, UpdateRule, UpdateRuleOutcome,
};
use scrip_protocol::ids::{RequestId, RuleId};

impl Client {
    /// Creates a rule.
    ///
    /// ```no_run
    /// # async fn example(client: scrip_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use scrip_protocol::RequestId;
    /// use scrip_protocol::command::{Action, CreateRuleOutcome, RuleEvent, RuleTerms};
    ///
    /// // Ten per cent of each top-up of 500 or more, at every club.
    /// let terms = RuleTerms {
    ///     name: "Ten per cent".into(),
    ///     description: String::new(),
    ///     active: true,
    ///     clubs: vec![],
    ///     event: RuleEvent::BalanceToppedUp,
    ///     conditions: "topupAmountMajor >= 500".into(),
    ///     actions: vec![Action::AddBonus { formula: "{{topupAmountMajor}} * 0.1".into() }],
    ///     tags: vec![],
    /// };
    /// match client.create_rule(RequestId::now(), terms).await? {
    ///     CreateRuleOutcome::Created { rule, lint } => {
    ///         println!("rule {rule} is live");
    ///         lint.findings.iter().for_each(|finding| println!("{finding}"));
    ///     }
    ///     refused => println!("{refused}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn create_rule(&self, request: RequestId, terms: RuleTerms) -> Result<CreateRuleOutcome, ClientError> {
        self.call(request, &CreateRule { terms }).await
    }

    /// Changes a rule. [`RuleChanges::whole`] replaces every part of it.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn update_rule(
        &self,
        request: RequestId,
        rule: RuleId,
        changes: RuleChanges,
    ) -> Result<UpdateRuleOutcome, ClientError> {
        self.call(request, &UpdateRule { rule, changes }).await
    }

    /// Switches a rule on or off.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn switch_rule(&self, request: RequestId, rule: RuleId, active: bool) -> Result<SwitchRuleOutcome, ClientError> {
        self.call(request, &SwitchRule { rule, active }).await
    }

    /// Archives a rule.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn archive_rule(&self, request: RequestId, rule: RuleId) -> Result<ArchiveRuleOutcome, ClientError> {
        self.call(request, &ArchiveRule { rule }).await
    }

    /// Restores an archived rule, switched off.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn restore_rule(&self, request: RequestId, rule: RuleId) -> Result<RestoreRuleOutcome, ClientError> {
        self.call(request, &RestoreRule { rule }).await
    }

    /// Lists the rules that pass a filter, a page at a time.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn list_rules(&self, query: &ListRules) -> Result<ListRulesOutcome, ClientError> {
        self.call(RequestId(0), query).await
    }

    /// Shows a rule.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn show_rule(&self, rule: RuleId) -> Result<ShowRuleOutcome, ClientError> {
        self.call(RequestId(0), &ShowRule { rule }).await
    }

    /// Lints a rule without saving it.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn lint_rule(&self, query: &LintRule) -> Result<LintRuleOutcome, ClientError> {
        self.call(RequestId(0), query).await
    }

    /// Rehearses a rule on the top-ups of a past period, and waits up to `patience` for the result. The time grows with what was
    /// written since the period began.
    ///
    /// ```no_run
    /// # async fn example(client: scrip_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use scrip_protocol::command::{RehearseRule, RehearseRuleOutcome, ShowRuleOutcome};
    /// use scrip_protocol::{RuleId, unix_time_ms};
    ///
    /// // What rule 7 would have cost in the last 30 days, had it been active all the time.
    /// let ShowRuleOutcome::Rule(card) = client.show_rule(RuleId(7)).await? else { return Ok(()) };
    /// let now_ms = unix_time_ms();
    /// let period = (now_ms - 30 * 86_400_000, now_ms);
    /// let rehearsal = RehearseRule { terms: card.terms, replaces: RuleId(7), from_ms: period.0, to_ms: period.1 };
    /// if let RehearseRuleOutcome::Rehearsed(done) = client.rehearse_rule(&rehearsal, Duration::from_secs(300)).await? {
    ///     println!("{} top-ups, {} clients", done.fired, done.clients);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn rehearse_rule(&self, query: &RehearseRule, patience: Duration) -> Result<RehearseRuleOutcome, ClientError> {
        self.call_within(patience, RequestId(0), query).await
    }
}
