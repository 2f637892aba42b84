//! The one that looks whether a door is still to be closed, for all who were turned away there.

use super::{
    shared::{Shared, Wake},
    state::{Gate, Probed},
};
use crate::cognito::Cognito;
use futures::FutureExt;
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tracing::error;

/// Between two probes: 1 s growing to 5 s, or to 15 s where each is a call to Cognito.
const FIRST: Duration = Duration::from_secs(1);
pub(crate) const MAX: Duration = Duration::from_secs(5);
const SCOUT_MAX: Duration = Duration::from_secs(15);

/// Runs as long as the door of this number is closed.
pub(crate) async fn probe<C: Cognito>(shared: Arc<Shared<C>>, gate: Gate, number: u64) {
    let mut pause = FIRST;
    loop {
        tokio::time::sleep(pause).await;
        let probed = AssertUnwindSafe(probe_once(&shared, &gate, number));
        let longest = match probed.catch_unwind().await {
            Ok(Found::Open) => return,
            Ok(Found::Closed { refused: true }) => SCOUT_MAX,
            Ok(Found::Closed { refused: false }) => MAX,
            Err(_) => {
                error!(authority = %gate, "what follows from a probe panicked; it is repeated");
                SCOUT_MAX
            }
        };
        pause = (pause * 2).min(longest);
    }
}

/// How one probe found its door.
enum Found {
    /// Open, or another one by now.
    Open,
    /// Closed, and whether AWS refused the credentials.
    Closed { refused: bool },
}

async fn probe_once<C: Cognito>(shared: &Arc<Shared<C>>, gate: &Gate, number: u64) -> Found {
    let asker = shared.state().next_asker(gate, number);
    let Some(asker) = asker else {
        return Found::Open;
    };
    // A probe that died would leave the door closed for good.
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
            if !scout(shared, gate) {
                return Found::Open;
            }
        }
        Ok(Ok(_)) => {
            shared.open(gate);
            return Found::Open;
        }
        Ok(Err(_)) => {}
        Err(_) => {
            error!(authority = %gate, "the look for AWS credentials panicked; it is repeated");
        }
    }
    // Some more may say why they are turned away.
    let told = shared.state().next_told(gate);
    for resource in &told {
        (shared.wake)(resource, Wake::Tell);
    }
    Found::Closed { refused }
}

/// Nobody knows whether AWS takes the credentials that there are now: one goes and sees. Answers
/// with whether the door is still closed: it isn't if nobody is left who wants to pass.
fn scout<C: Cognito>(shared: &Arc<Shared<C>>, gate: &Gate) -> bool {
    let (scout, left) = shared.state().send_scout(gate);
    shared.tidy(left);
    if let Some(scout) = &scout {
        (shared.wake)(scout, Wake::Healed);
    }
    scout.is_some()
}
