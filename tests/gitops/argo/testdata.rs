//! The testdata of the Lua scripts: objects as the operator left them in a real API server, the health that each
//! must have, and what each action must make of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::folder_of;
use super::matrix::{Case, Class, Phase, grants_of, resources_of};
use crate::world::World;

const NOT_YET: &str = "The operator has not reconciled this";
const LAST_CHANGE: &str = "The operator has not reconciled the last change of the spec yet";

/// Writes the files instead of comparing: `make gitops-testdata`.
const WRITE: &str = "CPO_WRITE_TESTDATA";

#[tokio::test(flavor = "multi_thread")]
async fn the_testdata_is_what_the_api_server_has() {
    let (world, _turn) = World::alone("argo-testdata").await;
    let mut files = files_of("CognitoUserPassword", &resources_of(&world).await);
    files.extend(files_of("CognitoUserPoolGrant", &grants_of(&world).await));
    if std::env::var_os(WRITE).is_some() {
        for (path, text) in &files {
            fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
            fs::write(path, text).expect("the checkout can be written");
        }
        return;
    }
    for (path, text) in &files {
        let shown = path.display();
        let there = fs::read_to_string(path).unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert!(
            there == *text,
            "{shown} is old: make gitops-testdata\n{there}\n---\n{text}"
        );
    }
}

fn files_of(kind: &str, cases: &[Case]) -> BTreeMap<PathBuf, String> {
    let folder = folder_of(kind);
    let mut files = BTreeMap::new();
    let mut tests = Vec::new();
    for case in cases {
        let path = format!("testdata/{}.yaml", case.name());
        tests.push(json!({ "inputPath": path, "healthStatus": health(kind, case) }));
        files.insert(folder.join(path), yaml(&case.object));
    }
    let tests = json!({ "tests": tests });
    files.insert(folder.join("health_test.yaml"), yaml(&tests));
    if kind == "CognitoUserPassword" {
        let actions = folder.join("actions");
        for (path, value) in actions_of(cases) {
            files.insert(actions.join(path), yaml(&value));
        }
    }
    files
}

fn yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).expect("JSON is YAML")
}

/// The health that Argo CD must show, by docs/gitops.md.
fn health(kind: &str, case: &Case) -> Value {
    let conditions = case.object["status"]["conditions"].as_array();
    let ready = conditions.and_then(|all| all.iter().find(|it| it["type"] == "Ready"));
    let said = ready.map(|ready| {
        let text = |field: &str| ready[field].as_str().unwrap_or_default().to_owned();
        format!("{}: {}", text("reason"), text("message"))
    });
    let noun = match kind {
        "CognitoUserPassword" => "resource",
        _ => "grant",
    };
    let not_yet = format!("{NOT_YET} {noun} yet");
    let (status, message) = match case.phase {
        Phase::Observed => {
            let status = match case.class {
                Class::Settled => "Healthy",
                Class::Stalled | Class::Overdue | Class::Drifted => "Degraded",
                Class::New | Class::Waiting | Class::Transient | Class::Unknown => "Progressing",
            };
            (status, said.unwrap_or(not_yet))
        }
        Phase::Stale | Phase::ResumedStale => {
            let message = said.map_or(not_yet, |_| LAST_CHANGE.to_owned());
            ("Progressing", message)
        }
        Phase::Suspended | Phase::SuspendedStale => {
            let before = said.map_or(String::new(), |said| format!("; before: {said}"));
            ("Suspended", format!("spec.suspend is true{before}"))
        }
        Phase::Deleted => {
            let message = "Pending deletion; blocked by finalizers: example.com/hold";
            ("Progressing", message.to_owned())
        }
    };
    json!({ "status": status, "message": message })
}

/// The tests of the actions, and the objects that the actions must make.
fn actions_of(cases: &[Case]) -> Vec<(&'static str, Value)> {
    let find = |class, phase| {
        let found = cases
            .iter()
            .find(|case| case.class == class && case.phase == phase);
        found.expect("each class has each phase")
    };
    let input = |case: &Case| format!("../testdata/{}.yaml", case.name());
    let list = |set: bool, suspend: bool, resume: bool| {
        let action = |name: &str, enabled: bool, title: &str, icon: &str| {
            let icon = format!("fa fa-fw fa-{icon}");
            let mut action = json!({ "name": name, "displayName": title, "iconClass": icon });
            if !enabled {
                action["disabled"] = json!(true);
            }
            action
        };
        let mut suspend = action("suspend", suspend, "Suspend", "pause");
        suspend["params"] = json!([{ "name": "reason" }]);
        let set = action("set", set, "Set the password now", "rotate-right");
        json!([set, suspend, action("resume", resume, "Resume", "play")])
    };
    let discovery = cases.iter().map(|case| {
        let result = match case.phase {
            Phase::Observed | Phase::Stale | Phase::ResumedStale => list(true, true, false),
            Phase::Suspended | Phase::SuspendedStale => list(false, false, true),
            Phase::Deleted => list(false, false, false),
        };
        json!({ "inputPath": input(case), "result": result })
    });
    let settled = find(Class::Settled, Phase::Observed);
    let overdue = find(Class::Overdue, Phase::Observed);
    let suspended = find(Class::Settled, Phase::Suspended);
    let annotation = |object: &mut Value, name: &str, value: &str| {
        object["metadata"]["annotations"][format!("cognito-password-operator.io/{name}")] =
            json!(value);
    };
    let mut set = settled.object.clone();
    annotation(&mut set, "requestedAt", "0001-01-01T00:00:00Z");
    // This resource has an earlier request.
    let mut set_again = overdue.object.clone();
    annotation(&mut set_again, "requestedAt", "0001-01-01T00:00:00Z");
    let mut suspend = settled.object.clone();
    suspend["spec"]["suspend"] = json!(true);
    let mut suspend_because = suspend.clone();
    annotation(&mut suspend_because, "suspended-because", "INC-42");
    let mut resume = suspended.object.clone();
    resume["spec"]["suspend"] = json!(false);
    let mut resume_because = suspend_because.clone();
    resume_because["spec"]["suspend"] = json!(false);
    resume_because["metadata"]["annotations"] = json!({});
    let test = |action: &str, input: String, output: &str| {
        let output = format!("testdata/{output}");
        json!({ "action": action, "inputPath": input, "expectedOutputPath": output })
    };
    let mut because = test("suspend", input(settled), "suspended-because.yaml");
    because["parameters"] = json!({ "reason": "INC-42" });
    let mut no_reason = test("suspend", input(settled), "suspended.yaml");
    no_reason["parameters"] = json!({ "reason": "" });
    let tests = json!([
        test("set", input(settled), "set.yaml"),
        test("set", input(overdue), "set-again.yaml"),
        test("suspend", input(settled), "suspended.yaml"),
        no_reason,
        because,
        test("resume", input(suspended), "resumed.yaml"),
        test(
            "resume",
            "testdata/suspended-because.yaml".to_owned(),
            "resumed-because.yaml"
        ),
    ]);
    let discovery: Vec<_> = discovery.collect();
    vec![
        (
            "action_test.yaml",
            json!({ "discoveryTests": discovery, "actionTests": tests }),
        ),
        ("testdata/set.yaml", set),
        ("testdata/set-again.yaml", set_again),
        ("testdata/suspended.yaml", suspend),
        ("testdata/suspended-because.yaml", suspend_because),
        ("testdata/resumed.yaml", resume),
        ("testdata/resumed-because.yaml", resume_because),
    ]
}
