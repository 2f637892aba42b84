//! The commands as people with usual rights, and as people without any.

use super::super::{EDIT, VIEW, plugin, tenant};
use super::Scene;

/// A command, the status that it ends with, and words that it says.
type Told = (&'static [&'static str], i32, &'static [&'static str]);

const MAY_NOT_LIST: &str = "you may not list cognitouserpasswords";

/// Somebody who may nothing.
const NOBODY: &[Told] = &[
    (
        &["doctor", "NAMESPACE/bot"],
        3,
        &["? NAMESPACE/bot: you may not get cognitouserpasswords"],
    ),
    (&["doctor", "-A"], 3, &[MAY_NOT_LIST]),
    (&["doctor", "-n", "NAMESPACE"], 3, &[MAY_NOT_LIST]),
    (
        &["check"],
        3,
        &[
            "? crds",
            "? operator",
            "you may not list deployments.apps",
            "? grants",
            "you may not list cognitouserpoolgrants",
            "? resources",
            MAY_NOT_LIST,
        ],
    ),
    (
        &["version"],
        3,
        &[
            "✓ client",
            "? operator",
            "you may not list deployments.apps",
            "? crds",
            "you may not get customresourcedefinitions",
        ],
    ),
    (&["set", "--all", "-n", "NAMESPACE"], 3, &[MAY_NOT_LIST]),
    (
        &["suspend", "bot", "-n", "NAMESPACE"],
        3,
        &["you may not get cognitouserpasswords"],
    ),
    (
        &["wait", "bot", "-n", "NAMESPACE"],
        3,
        &["you may not get cognitouserpasswords"],
    ),
    (
        &[
            "grants",
            "test",
            "-n",
            "NAMESPACE",
            "--user",
            "bot",
            "--pool",
            "eu-west-1_AbCdEf123",
        ],
        3,
        &["? answer unknown", "you may not list cognitouserpoolgrants"],
    ),
];

/// A tenant who may see the resources of one namespace.
const VIEWER: &[Told] = &[
    (
        &["doctor", "NAMESPACE/bot"],
        0,
        &[
            "Ready=True PasswordSet",
            "✓ resource",
            "? grant you may not list cognitouserpoolgrants",
            "? duplicate no other resource in NAMESPACE",
            "? secret bot: you may not get secrets/bot",
            "✓ record",
            "? operator you may not list deployments.apps",
        ],
    ),
    (
        &["doctor", "-n", "NAMESPACE"],
        0,
        &["1 Ready", "? operator", "? grants you may not list"],
    ),
    (&["doctor", "-A"], 3, &[MAY_NOT_LIST, "without -A"]),
    (
        &["check"],
        3,
        &["✓ kubernetes", "? operator", "? resources"],
    ),
    (&["version"], 3, &["✓ client", "? operator", "? crds"]),
    (
        &["wait", "bot", "-n", "NAMESPACE"],
        0,
        &["bot condition met"],
    ),
    (
        &["set", "bot", "-n", "NAMESPACE"],
        3,
        &["not allowed: you may not patch cognitouserpasswords"],
    ),
    (
        &["suspend", "--all", "-n", "NAMESPACE"],
        3,
        &["you may not patch cognitouserpasswords"],
    ),
];

/// A tenant who may change the resources of one namespace.
const EDITOR: &[Told] = &[
    (
        &["doctor", "NAMESPACE/bot"],
        0,
        &["Ready=True PasswordSet", "? grant", "? operator"],
    ),
    (&["check"], 3, &["✓ kubernetes", "? operator"]),
    (&["version"], 3, &["✓ client", "? operator", "? crds"]),
    (&["set", "bot", "-n", "NAMESPACE"], 0, &["bot: asked"]),
    (
        &["suspend", "bot", "-n", "NAMESPACE"],
        0,
        &["bot: suspended"],
    ),
    (&["resume", "bot", "-n", "NAMESPACE"], 0, &["bot: resumed"]),
    (
        &["wait", "bot", "-n", "NAMESPACE", "--timeout=2m"],
        0,
        &["bot condition met"],
    ),
];

/// Each command tells each person what the person may see.
pub(super) async fn each_is_told(scene: &Scene<'_>) {
    for told in NOBODY {
        for user in ["nobody", "system:anonymous"] {
            let (command, _, _) = told;
            let run = scene.run(command, user).await;
            // Without the right to ask what is served, an anonymous user sees no CRDs.
            said(
                scene,
                user,
                told,
                (run.said.status, &run.said.text, &run.errors),
            );
        }
    }
    let world = &scene.it.world;
    for (name, roles, all) in [("viewer", VIEW, VIEWER), ("editor", EDIT, EDITOR)] {
        let kubeconfig = tenant(world, name, roles);
        for told in all {
            let (command, _, _) = told;
            let args: Vec<_> = command
                .iter()
                .map(|it| it.replace("NAMESPACE", &world.namespace))
                .collect();
            let args: Vec<_> = args.iter().map(String::as_str).collect();
            let (status, text, errors) = plugin(&kubeconfig, &args).await;
            said(scene, name, told, (status, &text, &errors));
        }
    }
}

fn said(scene: &Scene<'_>, who: &str, told: &Told, (status, text, errors): (i32, &str, &str)) {
    let (command, wanted, words) = told;
    let all = format!("{text} {errors}");
    assert_eq!(status, *wanted, "{who} {command:?}: {all}");
    assert!(!all.contains("panicked"), "{who} {command:?}: {all}");
    let on_one_line = all.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in *words {
        let words = words.replace("NAMESPACE", &scene.it.world.namespace);
        assert!(
            on_one_line.contains(&words),
            "{who} {command:?}, no {words:?}: {all}"
        );
    }
    // What somebody can't see is no fault.
    assert!(!text.contains('×'), "{who} {command:?}: {all}");
}
