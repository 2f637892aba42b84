//! The probe checks, for all resources that a closed gate stops, whether the credentials work again.

use super::{
    shared::{Shared, Wake},
    state::{Gate, Probed},
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
            Ok(Found::Open) => return,
            Ok(Found::Closed { refused: true }) => TRIAL_MAX,
            Ok(Found::Closed { refused: false }) => MAX,
            Err(_) => {
                error!(authority = %gate, "handling the result of a credential probe panicked; probing again");
                TRIAL_MAX
            }
        };
        pause = (pause * 2).min(longest);
    }
}

/// The state of the gate after one probe.
enum Found {
    /// The gate is open, or has been opened and closed again since.
    Open,
    /// The gate is closed. `refused`: AWS refused the credentials.
    Closed { refused: bool },
}

async fn probe_once<C: Cognito>(shared: &Arc<Shared<C>>, gate: &Gate, number: u64) -> Found {
    let asker = shared.state().next_asker(gate, number);
    let Some(asker) = asker else {
        return Found::Open;
    };
    // A panic that ended the probe would leave the gate closed for ever.
    let found = AssertUnwindSafe(shared.cognito.authenticate(&asker))
        .catch_unwind()
        .await;
    let failure = found.as_ref().ok().and_then(|found| found.as_ref().err());
    let probed = shared.state().probed(gate, number, failure);
    let refused = match probed {
        Probed::Over => return Found::Open,
        Probed::Deserted(opened) => {
            shared.tidy(opened.left);
            return Found::Open;
        }
        Probed::Closed { refused } => refused,
    };
    match found {
        Ok(Ok(_)) if refused => {
            if !trial(shared, gate) {
                return Found::Open;
            }
        }
        Ok(Ok(_)) => {
            shared.open(gate);
            return Found::Open;
        }
        Ok(Err(_)) => {}
        Err(_) => {
            error!(authority = %gate, "the probe for AWS credentials panicked; probing again");
        }
    }
    // A limited number of statuses may report the failure after each probe.
    let told = shared.state().next_told(gate);
    for resource in &told {
        (shared.wake)(resource, Wake::Tell);
    }
    Found::Closed { refused }
}

/// Lets a trial resource make a call, because only a call shows whether AWS accepts the credentials. Returns
/// whether the gate is still closed. The gate opens if no resource is left to try.
fn trial<C: Cognito>(shared: &Arc<Shared<C>>, gate: &Gate) -> bool {
    let (trial, left) = shared.state().next_trial(gate);
    shared.tidy(left);
    if let Some(trial) = &trial {
        (shared.wake)(trial, Wake::Healed);
    }
    trial.is_some()
}
