//! The saboteur: picks users and acts at random.

use std::time::Duration;

use tokio::sync::watch;

use super::ledger::{Act, Ledger};
use super::{MARGIN, Role, checks, pool, role};
use crate::scene::Scene;
use crate::support::{Origin, Random};

/// Sabotages until the stop.
pub(super) async fn sabotage(
    scene: &Scene,
    ledger: &Ledger,
    mut random: Random,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        // The pause sets the load. No check depends on the pause.
        let pause = Duration::from_millis(200 + random.next() % 1600);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let user = &scene.users[random.below(scene.users.len())];
        if let Some(act) = next_act(scene, ledger, user, &mut random) {
            ledger.note(user, act);
            perform(scene, user, act);
        }
    }
}

/// What the saboteur does to this user now, if anything.
fn next_act(scene: &Scene, ledger: &Ledger, user: &str, random: &mut Random) -> Option<Act> {
    let role = role(user);
    let choices: &[(Act, f64)] = if is_clean(scene, user) {
        // Each of these is followed by others, and ends with the correction.
        &[
            (Act::Reset, 0.2),
            (Act::TemporaryElsewhere, 0.1),
            (Act::RecreatedByAdministrator, 0.2),
            (Act::SignedUp, 0.2),
            (Act::SignedUpUnconfirmed, 0.1),
            (Act::Disabled, 0.1),
        ]
    } else {
        match ledger.last(user)?.act {
            Act::Disabled => &[(Act::Enabled, 0.5)],
            Act::Reset => &[
                (Act::PasswordChosen, 0.1),
                (Act::RecreatedByAdministrator, 0.05),
                (Act::SignedUp, 0.05),
            ],
            Act::SignedUp | Act::SignedUpUnconfirmed => &[(Act::RecreatedByAdministrator, 0.03)],
            Act::PasswordChosen => &[(Act::Reset, 0.1)],
            Act::TemporaryElsewhere | Act::RecreatedByAdministrator | Act::Enabled => &[],
        }
    };
    let act = *random.pick(choices)?;
    // The user of a temporary password waits for the first sign-in, as a new user does.
    let needs_dates = act.is_sign_up() || role == Role::Temporary;
    if needs_dates && !checks::is_old(scene, user, MARGIN + Duration::from_secs(5)) {
        return None;
    }
    (role != Role::Temporary || act != Act::TemporaryElsewhere).then_some(act)
}

/// Whether the record says that the user has the Secret's value, and the user does.
fn is_clean(scene: &Scene, user: &str) -> bool {
    let latest = scene.observer.latest_of(user);
    latest.is_some_and(|latest| latest.is_settled(&scene.book)) && checks::works(scene, user)
}

fn perform(scene: &Scene, user: &str, act: Act) {
    let (cognito, pool) = (&scene.world.cognito, pool(user));
    match act {
        Act::Reset => cognito.reset_user(pool, user),
        Act::TemporaryElsewhere => {
            cognito.set_elsewhere((pool, user), "0f-An-Administrator", false);
        }
        Act::RecreatedByAdministrator => cognito.recreate_user(pool, user, Origin::Administrator),
        Act::SignedUp => {
            cognito.recreate_user(pool, user, Origin::ConfirmedSignUp);
            cognito.change_password(pool, user, CHOSEN);
        }
        Act::SignedUpUnconfirmed => cognito.recreate_user(pool, user, Origin::SignUp),
        Act::Disabled => cognito.disable_user(pool, user),
        Act::Enabled => cognito.enable_user(pool, user),
        Act::PasswordChosen => cognito.change_password(pool, user, CHOSEN),
    }
}

/// The password that a person chooses.
pub(super) const CHOSEN: &str = "0f-A-Pers0n";
