//! The rules which request gets which fault.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::super::random::Random;
use super::request::{Kind, ProxiedRequest};

/// The faults of requests. "Before" means that the API server never gets the request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ApiFault {
    /// A list or a watch: 410, the resourceVersion is too old.
    Gone,
    /// A watch: an event that says the same.
    GoneLater,
    /// A watch: 422, as from an API server that does not stream lists.
    Unstreamed,
    /// A watch: its initial events never end, as from an API server without support for streaming lists.
    NeverComplete,
    /// A write of a status: 409, although nothing changed.
    Conflict,
    /// 429 with Retry-After.
    TooManyRequests,
    /// 500, before.
    InternalError,
    /// 500, although the request was carried out.
    InternalErrorAfter,
    Delay(Duration),
    /// Never an answer, and the connection stays open.
    Hang,
    /// The connection is closed, before.
    DropBefore,
    /// The connection is closed instead of a reply.
    DropAfter,
}

impl ApiFault {
    fn fits(self, kind: Kind) -> bool {
        match self {
            ApiFault::Gone => matches!(kind, Kind::List | Kind::Watch),
            ApiFault::GoneLater | ApiFault::Unstreamed | ApiFault::NeverComplete => {
                kind == Kind::Watch
            }
            ApiFault::Conflict => kind.is_status_write(),
            // A watch that has begun has no reply that could get lost.
            ApiFault::InternalErrorAfter | ApiFault::DropAfter => kind != Kind::Watch,
            ApiFault::TooManyRequests
            | ApiFault::InternalError
            | ApiFault::Delay(_)
            | ApiFault::Hang
            | ApiFault::DropBefore => true,
        }
    }

    fn name(self) -> &'static str {
        match self {
            ApiFault::Gone => "410",
            ApiFault::GoneLater => "410 in a watch",
            ApiFault::Unstreamed => "422",
            ApiFault::NeverComplete => "never complete",
            ApiFault::Hang => "hangs",
            ApiFault::Conflict => "409",
            ApiFault::TooManyRequests => "429",
            ApiFault::InternalError => "500 before",
            ApiFault::InternalErrorAfter => "500 after",
            ApiFault::Delay(_) => "delayed",
            ApiFault::DropBefore => "dropped before",
            ApiFault::DropAfter => "dropped after",
        }
    }
}

/// When a request is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The request has arrived at the proxy, but not at the API server.
    Before,
    /// The API server has answered, but the operator has no answer yet.
    After,
}

/// Waits for a request to hold. After a drop no request is held.
pub(crate) struct HoldRule(mpsc::UnboundedReceiver<HeldRequest>);

impl HoldRule {
    /// The request, which stays held until [`HeldRequest::let_go`]. A drop of the result drops the request.
    pub(crate) async fn caught(&mut self) -> HeldRequest {
        self.0
            .recv()
            .await
            .expect("a rule stays until it has caught a request")
    }
}

/// A request that is held.
pub(crate) struct HeldRequest {
    pub(crate) asked: ProxiedRequest,
    go: oneshot::Sender<()>,
}

impl HeldRequest {
    pub(crate) fn let_go(self) {
        // The client may be gone.
        let _ = self.go.send(());
    }
}

#[derive(Debug, Default)]
pub(super) struct Rules {
    next: Vec<(Kind, ApiFault)>,
    always: Vec<(Kind, ApiFault)>,
    chance: Option<(Random, Vec<(ApiFault, f64)>)>,
    holds: Vec<(Kind, Moment, mpsc::UnboundedSender<HeldRequest>)>,
    pub(super) met: BTreeMap<&'static str, usize>,
}

impl Rules {
    pub(super) fn next(&mut self, kind: Kind, fault: ApiFault) {
        self.next.push((kind, fault));
    }

    pub(super) fn always(&mut self, kind: Kind, fault: ApiFault) {
        self.always.push((kind, fault));
    }

    pub(super) fn set_chance(&mut self, seed: u64, faults: Vec<(ApiFault, f64)>) {
        self.chance = Some((Random::new(seed), faults));
    }

    pub(super) fn heal(&mut self) {
        self.next.clear();
        self.always.clear();
        self.chance = None;
    }

    /// The fault for a request that arrives now.
    pub(super) fn take(&mut self, kind: Kind) -> Option<ApiFault> {
        let scripted = self.next.iter().position(|(its, _)| *its == kind);
        let scripted = scripted.map(|index| self.next.remove(index).1);
        let permanent = || self.always.iter().find(|(its, _)| *its == kind);
        let scripted = scripted.or_else(|| permanent().map(|(_, fault)| *fault));
        let drawn = || {
            let (random, faults) = self.chance.as_mut()?;
            random.pick(faults).copied()
        };
        let fault = scripted.or_else(drawn).filter(|fault| fault.fits(kind))?;
        *self.met.entry(fault.name()).or_default() += 1;
        Some(fault)
    }

    pub(super) fn hold(&mut self, kind: Kind, moment: Moment) -> HoldRule {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.holds.push((kind, moment, sender));
        HoldRule(receiver)
    }

    /// If this request is to be held: the receiver that waits for its release.
    pub(super) fn held(
        &mut self,
        asked: &ProxiedRequest,
        moment: Moment,
    ) -> Option<oneshot::Receiver<()>> {
        self.holds.retain(|(_, _, sender)| !sender.is_closed());
        let wanted = |(kind, when, _): &(Kind, Moment, _)| *kind == asked.kind && *when == moment;
        let index = self.holds.iter().position(wanted)?;
        let (_, _, sender) = self.holds.remove(index);
        let (go, gone) = oneshot::channel();
        let asked = asked.clone();
        sender.send(HeldRequest { asked, go }).ok()?;
        Some(gone)
    }
}
