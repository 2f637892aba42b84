//! One valid resource with a value, for tests that change one thing and check the decision. The statuses come
//! from the core itself, as results of replies.

use super::{cluster::Cluster, cognito::text, process::Facts};
use cognito_password_operator::{
    api::{AttemptOutcome, ConditionStatus, ConditionType, Reason, Status},
    core::look::found::Looks,
    core::protocol::{
        conclude::{Conclusion, OutcomeReport, conclude},
        decide::{decide_at_closed_gate, report_while_queued},
        decision::{Decision, Duty, Report},
        obligation::{SignOutReport, conclude_sign_out},
        observation::{DecisionBasis, OlderResource, SecretState},
        outcome::classify,
        plan::Plan,
        reply::{NotSent, Reply, ServiceError},
        sign_out::classify_sign_out,
        version::verified,
    },
};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// The resource, its Secret, and one process.
pub struct Scene {
    pub cluster: Cluster,
    pub now: Timestamp,
    pub tried: Option<DecisionBasis>,
    pub recovered: bool,
    pub older: Option<OlderResource>,
    pub rival_at: Option<Timestamp>,
    /// What this process's looks found.
    pub looks: Looks,
    pub corrections_left: bool,
    ids: u32,
}

impl Scene {
    /// A new resource; the Secret has value 0.
    pub fn new() -> Self {
        Self {
            cluster: Cluster::new(),
            now: Timestamp::from_second(1_800_000_000).expect("a time"),
            tried: None,
            recovered: false,
            older: None,
            rival_at: None,
            looks: Looks::default(),
            corrections_left: true,
            ids: 0,
        }
    }

    /// A resource with value 0 set.
    pub fn settled() -> Self {
        let mut scene = Self::new();
        scene.set(&applied());
        scene
    }

    /// Sets the same value again, on request.
    pub fn set_again(&mut self) {
        self.cluster.request();
        self.set(&applied());
    }

    pub fn status(&self) -> Status {
        self.cluster.resource.status()
    }

    /// Changes the status in a way that only a test does.
    pub fn with_status(&mut self, change: impl FnOnce(&mut Status)) {
        let mut status = self.status();
        change(&mut status);
        self.write(&status);
    }

    pub fn write(&mut self, status: &Status) {
        let read = self.cluster.resource.clone();
        self.cluster
            .write(&read, status)
            .expect("nobody else writes");
    }

    pub fn put(&mut self, value: u8) {
        self.cluster.put("password", Some(text(value).into_bytes()));
    }

    pub fn later(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    /// Moves the clock to the time of the next try.
    pub fn until_due(&mut self) {
        self.now = self.status().failures.expect("a next try").retry_at.0;
    }

    pub fn restart(&mut self) {
        self.tried = None;
    }

    fn decide(&mut self, secret: SecretState) -> (Decision, DecisionBasis) {
        self.ids += 1;
        let facts = Facts {
            resource: &self.cluster.resource,
            secret,
            tried: self.tried.as_ref(),
            recovered: self.recovered,
            older: self.older.clone(),
            rival_at: self.rival_at,
            looks: self.looks.clone(),
            corrections_left: self.corrections_left,
        };
        let id = format!("{:08x}", self.ids);
        let (decision, tried, _) = facts.decide(&self.cluster, self.now, &id);
        (decision, tried)
    }

    /// The report while a set waits for a permit.
    pub fn waiting_for_turn(&mut self) -> Option<Report> {
        let facts = Facts {
            resource: &self.cluster.resource,
            secret: self.cluster.read(&self.cluster.resource).0,
            tried: self.tried.as_ref(),
            recovered: self.recovered,
            older: self.older.clone(),
            rival_at: self.rival_at,
            looks: self.looks.clone(),
            corrections_left: self.corrections_left,
        };
        let status = self.status();
        report_while_queued(&facts.observed(&self.cluster, &status), self.now)
    }

    /// The decision while the credential gate is closed and the status says so.
    pub fn turned_away(&self) -> Decision {
        let secret = self.cluster.secret.as_ref();
        let facts = Facts {
            resource: &self.cluster.resource,
            secret: secret.map_or(SecretState::NotSeen, |s| {
                SecretState::Seen(s.version.clone())
            }),
            tried: self.tried.as_ref(),
            recovered: self.recovered,
            older: self.older.clone(),
            rival_at: self.rival_at,
            looks: self.looks.clone(),
            corrections_left: self.corrections_left,
        };
        let status = self.status();
        decide_at_closed_gate(&facts.observed(&self.cluster, &status), self.now)
    }

    /// The decision on the watch's hint.
    pub fn look(&mut self) -> Decision {
        let secret = self.cluster.secret.as_ref();
        let hint = secret.map_or(SecretState::NotSeen, |s| {
            SecretState::Seen(s.version.clone())
        });
        self.decide(hint).0
    }

    /// The decision if the operator has a selector and the Secret lacks its labels.
    pub fn unselected(&mut self) -> Decision {
        self.decide(SecretState::NotSelected("a=b".to_owned())).0
    }

    /// Writes the report of the decision on the watch's hint.
    pub fn say(&mut self) -> Box<Report> {
        match self.look() {
            Decision::Report(report) => {
                self.write(&report.status);
                report
            }
            other => panic!("wanted a report, got {other:?}"),
        }
    }

    /// Records verified versions. Returns whether there was something to record.
    pub fn record_verified(&mut self) -> bool {
        let secret = self.cluster.secret.as_ref();
        let facts = Facts {
            resource: &self.cluster.resource,
            secret: secret.map_or(SecretState::NotSeen, |s| {
                SecretState::Seen(s.version.clone())
            }),
            tried: self.tried.as_ref(),
            recovered: self.recovered,
            older: self.older.clone(),
            rival_at: self.rival_at,
            looks: self.looks.clone(),
            corrections_left: self.corrections_left,
        };
        let status = self.status();
        let found = verified(&facts.observed(&self.cluster, &status), self.now);
        if let Some(status) = &found {
            self.write(status);
        }
        found.is_some()
    }

    /// The decision after a read, which this scene remembers.
    pub fn read(&mut self) -> Decision {
        let fact = self.cluster.read(&self.cluster.resource).0;
        let (decision, tried) = self.decide(fact);
        self.tried = Some(tried);
        decision
    }

    pub fn plan(&mut self) -> Box<Plan> {
        match self.read() {
            Decision::Set(plan) => plan,
            other => panic!("wanted a set, got {other:?}"),
        }
    }

    pub fn report(&mut self) -> Box<Report> {
        match self.read() {
            Decision::Report(report) => {
                self.write(&report.status);
                report
            }
            other => panic!("wanted a report, got {other:?}"),
        }
    }

    /// Reads, writes ahead, gets this reply, concludes and records.
    pub fn set(&mut self, reply: &Reply) -> Box<OutcomeReport> {
        let plan = self.plan();
        self.write(&plan.ahead);
        let conclusion = conclude(
            &self.status(),
            &plan,
            &classify(reply),
            &self.cluster.resource.uid,
            self.now,
        );
        match conclusion {
            Conclusion::Record(recorded) => {
                self.write(&recorded.status);
                recorded
            }
            Conclusion::Superseded(status) => panic!("superseded: {status:?}"),
        }
    }

    /// The sign-out that the decision on the watch's hint asks for.
    pub fn duty(&mut self) -> Duty {
        match self.look() {
            Decision::SignOut(duty) => *duty,
            other => panic!("wanted a sign-out, got {other:?}"),
        }
    }

    /// Concludes from this reply to a sign-out, and records the outcome.
    pub fn sign_out(&mut self, duty: &Duty, reply: &Reply) -> Option<SignOutReport> {
        let (status, uid) = (self.status(), self.cluster.resource.uid.clone());
        let outcome = classify_sign_out(reply);
        let report = conclude_sign_out(&status, duty, &outcome, &uid, self.now)?;
        self.write(&report.status);
        Some(report)
    }

    pub fn wake(&mut self) -> Option<Duration> {
        match self.read() {
            Decision::Stay { wake } => wake,
            other => panic!("wanted to stay, got {other:?}"),
        }
    }

    /// Ready's status and reason, whether Reconciling is present, and whether Stalled is present.
    pub fn said(&self) -> (ConditionStatus, Reason, bool, bool) {
        let status = self.status();
        let ready = status
            .condition(ConditionType::Ready)
            .expect("a judged resource");
        let is = |type_| status.condition(type_).is_some();
        (
            ready.status,
            ready.known_reason().expect("a reason of ours"),
            is(ConditionType::Reconciling),
            is(ConditionType::Stalled),
        )
    }

    pub fn attempt(&self) -> Option<AttemptOutcome> {
        self.status().attempt.map(|attempt| attempt.outcome)
    }
}

pub fn applied() -> Reply {
    Reply::Success {
        output: (),
        request_id: None,
        answered_at: None,
    }
}

pub fn lost() -> Reply {
    Reply::NoReply {
        detail: "connection closed".to_owned(),
    }
}

pub fn not_sent() -> Reply {
    Reply::NotSent {
        cause: NotSent::Connect,
        detail: "dns error".to_owned(),
    }
}

pub fn refused(code: &str) -> Reply {
    error(400, Some(code))
}

pub fn error(status: u16, code: Option<&str>) -> Reply {
    Reply::ServiceError(ServiceError {
        status,
        code: code.map(str::to_owned),
        message: Some("in AWS's words".to_owned()),
        request_id: None,
    })
}
