//! Rights on Secrets that the operator has and doesn't need. The operator checks its rights at the start, and
//! reports such rights.

use serde_json::{Value, json};

use crate::kustomize::over;
use crate::namespaced_install::{OVERLAY, installed};
use crate::rights::{AT_HOME, rights, set};
use crate::support::{ApiFault, ControlPlane, Kind, Operator, eventually, metrics, operator};
use crate::world::{SOON, World};

/// The log's words for rights in the operator's own namespace, and for rights in all namespaces.
const OWN: &str = "every Secret of its own namespace";
const ALL: &str = "every Secret of the cluster";

/// The values of the metric for both places. `None`: no value yet, or no server yet.
async fn metric(operator: &Operator) -> [Option<f64>; 2] {
    let Ok((200, text)) = operator.try_get("/metrics").await else {
        return [None, None];
    };
    let name = "cognito_password_operator_unneeded_secret_access";
    let of = |place| metrics::value(&text, name, &[("place", place)]);
    [of("own_namespace"), of("all_namespaces")]
}

/// Waits for these values of the metric. The operator sets the metric last, after all questions and log
/// lines.
async fn wait_metric(operator: &Operator, wanted: [Option<f64>; 2]) {
    eventually(SOON, async || match metric(operator).await {
        found if found == wanted => Ok(()),
        found => Err(format!("{found:?}; its log:\n{}", operator.logs())),
    })
    .await;
}

/// The only warning with these words, as the log has it.
fn warning(operator: &Operator, words: &str) -> Value {
    let logs = operator.logs();
    let mut found = logs.lines().filter(|line| line.contains(words));
    let line = found
        .next()
        .unwrap_or_else(|| panic!("no {words}:\n{logs}"));
    assert!(found.next().is_none(), "said twice:\n{logs}");
    let line: Value = serde_json::from_str(line).expect("a line is an object");
    assert_eq!(line["level"], "WARN", "{line}");
    line
}

/// Whether the command in the log answers yes for an administrator.
fn says_yes(plane: &ControlPlane, line: &Value) -> bool {
    let command = line["check"].as_str().expect("a command");
    let mut words = command.split(' ');
    assert_eq!(words.next(), Some("kubectl"), "{command}");
    match plane.try_kubectl(&words.collect::<Vec<_>>(), "") {
        Ok(answer) => {
            assert_eq!(answer.trim(), "yes", "{command}");
            true
        }
        Err(error) => {
            // `kubectl auth can-i` answers no with status 1 and an empty stderr.
            assert_eq!(error, format!("{command}: "));
            false
        }
    }
}

#[tokio::test]
async fn excess_rights_in_the_operators_own_namespace_are_reported() {
    let (world, _elsewhere, _turn) = installed().await;
    let plane = world.plane;
    let has_all_secrets = async || {
        let rights = rights(&world, operator::NAMESPACE).await;
        (rights.contains(" secrets list"), rights)
    };
    let builder = world.builder().manifests(OVERLAY);
    let namespace = format!("namespace: {}\n", operator::NAMESPACE);
    for (base, more) in [
        // Besides the operator's own Role, so that no other check notices the mistake.
        ("deploy/watch-namespaces/team-a", "namePrefix: team-a-\n"),
        ("deploy/watch-namespaces/rights", "nameSuffix: -of-team-b\n"),
        // In the place of the operator's own Role.
        ("deploy/watch-namespaces/team-a", ""),
        ("deploy/watch-namespaces/rights", ""),
    ] {
        let mistake = over(base, &format!("{namespace}{more}"));
        let path = mistake.path();
        let path = path.to_string_lossy();
        plane.kubectl(&["apply", "-k", &path]);
        eventually(SOON, async || match has_all_secrets().await {
            (true, _) => Ok(()),
            (false, rights) => Err(format!("{rights:?}")),
        })
        .await;
        let operator = builder.start().await;
        wait_metric(&operator, [Some(1.0), Some(0.0)]).await;
        let line = warning(&operator, OWN);
        assert!(line.to_string().contains("get,list,watch"), "{line}");
        assert!(!operator.logs().contains(ALL), "{}", operator.logs());
        assert!(says_yes(plane, &line), "{line}");
        assert!(operator.terminate(SOON).await.success());

        // Corrects the mistake. If the mistake has overwritten the operator's Role, the right overlay writes
        // the Role again.
        if more.is_empty() {
            plane.kubectl(&["apply", "-k", OVERLAY]);
        } else {
            plane.kubectl(&["delete", "-k", &path]);
        }
        eventually(SOON, async || match has_all_secrets().await {
            (_, rights) if rights == set(&AT_HOME) => Ok(()),
            (_, rights) => Err(format!("{rights:?}")),
        })
        .await;
        assert!(!says_yes(plane, &line), "{line}");
    }

    // With the right overlay the operator asks each question once, and reports nothing.
    let mark = world.mark();
    let operator = builder.start().await;
    operator.wait_ready(SOON).await;
    wait_metric(&operator, [Some(0.0), Some(0.0)]).await;
    for words in [OWN, ALL] {
        assert!(!operator.logs().contains(words), "{}", operator.logs());
    }
    let attributes_of = |request: &Value| {
        let attributes = request.pointer("/requestObject/spec/resourceAttributes");
        attributes.cloned().unwrap_or_default()
    };
    let asked: Vec<_> = world.questions(mark).iter().map(attributes_of).collect();
    let mut wanted = Vec::new();
    for verb in ["get", "list", "watch"] {
        wanted.push(json!({ "resource": "secrets", "verb": verb }));
    }
    for verb in ["get", "list", "watch"] {
        let namespace = operator::NAMESPACE;
        wanted.push(json!({ "resource": "secrets", "verb": verb, "namespace": namespace }));
    }
    assert_eq!(asked, wanted);
}

/// A world whose operator has the rights of deploy/. The API server applies the rights after a moment.
async fn with_cluster_role(prefix: &str) -> World<'static> {
    let world = World::new(prefix).await;
    eventually(SOON, async || {
        let rights = rights(&world, operator::NAMESPACE).await;
        let follows = ["get", "list", "watch"].map(|verb| format!(" secrets {verb}"));
        let all = follows.iter().all(|right| rights.contains(right));
        all.then_some(()).ok_or_else(|| format!("{rights:?}"))
    })
    .await;
    world
}

#[tokio::test]
async fn excess_rights_in_all_namespaces_are_reported_if_only_some_are_watched() {
    let world = with_cluster_role("too-much").await;
    let operator = world.operator().await;
    wait_metric(&operator, [Some(1.0), Some(1.0)]).await;
    let line = warning(&operator, ALL);
    assert!(says_yes(world.plane, &line), "{line}");
    let all = line.to_string();
    let account = format!("--all-namespaces --as={}", operator::USER);
    assert!(all.contains(&account), "{all}");
    // The warning about all namespaces covers the operator's own namespace.
    assert!(!operator.logs().contains(OWN), "{}", operator.logs());
}

#[tokio::test]
async fn readiness_and_sets_do_not_wait_for_the_review_of_own_rights() {
    // Leadership doesn't wait for the check either. The test needs a control plane without other operators.
    let (world, _turn) = World::alone("unanswered").await;
    let (proxy, kubeconfig) = world.proxy();
    // Five tries take more than six minutes, with the pauses between them.
    for _ in 0..5 {
        proxy.next(Kind::OwnRights, ApiFault::Hang);
    }
    let builder = world.builder().kubeconfig(&kubeconfig);
    let operator = builder.leader_elect().start().await;
    operator.wait_ready(SOON).await;
    world.in_sync("bot", "First-Passw0rd").await;
    assert_eq!(metric(&operator).await, [None, None]);
    assert!(operator.terminate(SOON).await.success());
    assert!(proxy.met()["hangs"] >= 1, "it asks at its start");
}

#[tokio::test]
async fn a_review_of_own_rights_without_an_answer_is_retried() {
    let world = with_cluster_role("lost").await;
    let (proxy, kubeconfig) = world.proxy();
    proxy.next(Kind::OwnRights, ApiFault::DropAfter);
    proxy.next(Kind::OwnRights, ApiFault::InternalError);
    let operator = world.builder().kubeconfig(&kubeconfig).start().await;
    wait_metric(&operator, [Some(1.0), Some(1.0)]).await;
    warning(&operator, ALL);
    assert_eq!(proxy.met().len(), 2, "{:?}", proxy.met());
}

/// While this value lives, no service account may ask for its own rights.
struct NobodyMayAsk(&'static ControlPlane);

const BINDING: [&str; 2] = ["clusterrolebinding", "system:basic-user"];

impl NobodyMayAsk {
    fn new(plane: &'static ControlPlane) -> Self {
        plane.kubectl(&[&["delete"][..], &BINDING].concat());
        Self(plane)
    }
}

impl Drop for NobodyMayAsk {
    fn drop(&mut self) {
        let role = "--clusterrole=system:basic-user";
        let to = [role, "--group=system:authenticated"];
        let made = self
            .0
            .try_kubectl(&[&["create"][..], &BINDING, &to].concat(), "");
        if let Err(error) = made {
            eprintln!("{error}");
        }
    }
}

#[tokio::test]
async fn a_forbidden_review_of_own_rights_is_logged_and_not_retried() {
    let (world, _turn) = World::alone("refused").await;
    let may_ask = || {
        let ask = ["auth", "can-i", "create", "selfsubjectaccessreviews"];
        let user = format!("--as={}", operator::USER);
        world.plane.try_kubectl(&[&ask[..], &[&user]].concat(), "")
    };
    let refusing = NobodyMayAsk::new(world.plane);
    eventually(SOON, async || match may_ask() {
        Ok(answer) => Err(answer),
        Err(_) => Ok(()),
    })
    .await;
    let mark = world.mark();
    let operator = world.operator().await;
    world.in_sync("bot", "First-Passw0rd").await;
    eventually(SOON, async || {
        let logs = operator.logs();
        let line = logs
            .lines()
            .find(|line| line.contains("couldn't find out whether it has rights"));
        let line = line.ok_or_else(|| logs.clone())?;
        assert!(
            line.contains("INFO") && line.contains("forbidden"),
            "{line}"
        );
        Ok(())
    })
    .await;
    drop(refusing);
    eventually(SOON, async || may_ask()).await;
    // After one refusal the operator asks no more.
    world.fence().await;
    assert_eq!(world.questions(mark).len(), 1);
    assert_eq!(metric(&operator).await, [None, None]);
    for words in [OWN, ALL] {
        assert!(!operator.logs().contains(words), "{}", operator.logs());
    }
}
