//! The probe checks, for all resources that a closed gate stops, whether the credentials work again.

use super::{
    shared::{Shared, Wake},
    state::{Gate, ProbeResult},
};
use crate::cognito::Cognito;
use futures::FutureExt;
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tracing::error;

/// The pause between two probes grows from 1 s to 5 s, or to 15 s if each probe lets a trial resource call
/// Cognito.
const FIRST: Duration = Duration::from_secs(1);
pub(crate) const MAX: Duration = Duration::from_secs(5);
const TRIAL_MAX: Duration = Duration::from_secs(15);

/// Probes until the closed gate with this number has opened.
pub(crate) async fn probe<C: Cognito>(shared: Arc<Shared<C>>, gate: Gate, number: u64) {
    let mut pause = FIRST;
    loop {
        tokio::time::sleep(pause).await;
        let probed = AssertUnwindSafe(probe_once(&shared, &gate, number));
        let longest = match probed.catch_unwind().await {
            Ok(GateStatus::Open) => return,
            Ok(GateStatus::Closed { refused: true }) => TRIAL_MAX,
            Ok(GateStatus::Closed { refused: false }) => MAX,
            Err(_) => {
                error!(authority = %gate, "handling the result of a credential probe panicked; probing again");
                TRIAL_MAX
            }
        };
        pause = (pause * 2).min(longest);
    }
}

/// The state of the gate after one probe.
enum GateStatus {
    /// The gate is open, or has been opened and closed again since.
    Open,
    /// The gate is closed. `refused`: AWS refused the credentials.
    Closed { refused: bool },
}

async fn probe_once<C: Cognito>(shared: &Arc<Shared<C>>, gate: &Gate, number: u64) -> GateStatus {
    let authority = shared.state().next_authority(gate, number);
    let Some(authority) = authority else {
        return GateStatus::Open;
    };
    // A panic that ended the probe would leave the gate closed for ever.
    let found = AssertUnwindSafe(shared.cognito.authenticate(&authority))
        .catch_unwind()
        .await;
    let failure = found.as_ref().ok().and_then(|found| found.as_ref().err());
    if failure.is_some() {
        (shared.count_failure)(&authority);
    }
    let probed = shared.state().probed(gate, number, failure);
    let refused = match probed {
        ProbeResult::Over => return GateStatus::Open,
        ProbeResult::Deserted(contents) => {
            shared.tidy(contents.departures);
            return GateStatus::Open;
        }
        ProbeResult::Closed { refused } => refused,
    };
    match found {
        Ok(Ok(_)) if refused => {
            if !trial(shared, gate) {
                return GateStatus::Open;
            }
        }
        Ok(Ok(_)) => {
            shared.open(gate);
            return GateStatus::Open;
        }
        Ok(Err(_)) => {}
        Err(_) => {
            error!(authority = %gate, "the probe for AWS credentials panicked; probing again");
        }
    }
    // A limited number of statuses may report the failure after each probe.
    let reporting = shared.state().next_to_report(gate);
    for resource in &reporting {
        (shared.wake)(resource, Wake::Report);
    }
    GateStatus::Closed { refused }
}

/// Lets a trial resource make a call, because only a call shows whether AWS accepts the credentials. Returns
/// whether the gate is still closed. The gate opens if no resource is left to try.
fn trial<C: Cognito>(shared: &Arc<Shared<C>>, gate: &Gate) -> bool {
    let (trial, departures) = shared.state().next_trial(gate);
    shared.tidy(departures);
    if let Some(trial) = &trial {
        (shared.wake)(trial, Wake::Recovered);
    }
    trial.is_some()
}
