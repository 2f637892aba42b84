//! The commands as people with usual rights, and as people without any.

use super::Scene;

/// Somebody without any right.
pub(super) async fn anybody(scene: &Scene<'_>) {
    for command in [
        &["doctor", "NAMESPACE/bot"][..],
        &["doctor", "-A"],
        &["check"],
        &["version"],
    ] {
        for user in ["nobody", "system:anonymous"] {
            let run = scene.run(command, user).await;
            println!(
                "{command:?} {user}: {}\n{}{}",
                run.said.status, run.said.text, run.errors
            );
        }
    }
}
