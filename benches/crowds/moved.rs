//! Secrets whose metadata changed after their values were set. Once the operator has recorded the new
//! versions, a restart reads no Secret, and a lost fingerprint key causes no call.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use cognito_password_operator::api::KEY_SECRET;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;

use crate::given;
use crate::scenarios::lines;
use crate::stage::{AuditedRequest, Crowd, Stage, at_once, number};
use crate::support::operator::NAMESPACE;
use crate::table::{Goal, Line};

/// Gives up if no further version is recorded for this time.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) async fn run(operator: &Path) -> Vec<Line> {
    let count = given("MOVED").unwrap_or(10_000);
    let stage = Stage::set(operator.to_owned()).await;
    let crowd = stage.fill("moved", count, false).await;
    let operator = stage.operator_in_sync().await;
    let (mark, called) = (stage.plane.audit_mark(), stage.cognito.count());
    let patch = Patch::Merge(json!({ "metadata": { "annotations": { "moved": "1" } } }));
    at_once(&crowd.names, async |name: &String| {
        let params = PatchParams::default();
        let patched = crowd.secrets.patch(name, &params, &patch);
        patched.await.expect("the Secret can be patched");
    })
    .await;
    let moved = Instant::now();
    let (left, last) = recorded(&stage, &crowd).await;
    let record = (last - moved).as_secs_f64();
    let asked = stage.asked(mark);
    let calls = stage.cognito.count() - called;
    let (reads, writes) = counts(&asked);
    stage.say(&format!(
        "{left} of {count} not recorded, the last one after {record:.1} s; {reads} reads, {writes} writes"
    ));
    stage.end(operator).await;

    let (mark, called) = (stage.plane.audit_mark(), stage.cognito.count());
    let operator = stage.operator_in_sync().await;
    stage.end(operator).await;
    let again = counts(&stage.asked(mark));
    let calls_again = stage.cognito.count() - called;

    let keys: Api<Secret> = Api::namespaced(stage.client.clone(), NAMESPACE);
    let deleted = keys.delete(KEY_SECRET, &DeleteParams::default()).await;
    deleted.expect("the keys can be deleted");
    let called = stage.cognito.count();
    let operator = stage.operator_in_sync().await;
    stage.end(operator).await;
    let calls_lost = stage.cognito.count() - called;

    let nothing =
        |what: &str, count: usize| (what.to_owned(), "", number(count), Some(0.0), Goal::Nothing);
    let said = |what: &str, count: usize| (what.to_owned(), "", number(count), None, Goal::None);
    lines(
        "moved",
        [
            nothing(
                &format!("metadata of {count} Secrets moved: Cognito calls"),
                calls,
            ),
            said("Secret reads", reads),
            said("status writes", writes),
            nothing("not on record by then", left),
            (
                "until the last one is on record".to_owned(),
                "s",
                record,
                None,
                Goal::None,
            ),
            nothing("restart after that: Cognito calls", calls_again),
            nothing("restart after that: Secret reads", again.0),
            nothing("restart after that: status writes", again.1),
            nothing(
                "restart without the fingerprint keys: Cognito calls",
                calls_lost,
            ),
        ],
    )
}

fn counts(asked: &[AuditedRequest]) -> (usize, usize) {
    let reads = asked.iter().filter(|it| it.is_secret_read()).count();
    let writes = asked.iter().filter(|it| it.is_status_write()).count();
    (reads, writes)
}

/// Waits until the statuses have the current versions of the Secrets. Returns how many statuses are still
/// behind, and when that number last fell.
async fn recorded(stage: &Stage, crowd: &Crowd) -> (usize, Instant) {
    let all = ListParams::default();
    let secrets = crowd.secrets.list_metadata(&all).await.expect("a list");
    let versions: HashMap<_, _> = secrets
        .into_iter()
        .map(|it| (it.name_any(), it.resource_version()))
        .collect();
    let (mut left, mut fewer) = (usize::MAX, Instant::now());
    loop {
        let resources = crowd.resources.list(&all).await.expect("a list");
        let unlike = resources.iter().filter(|it| {
            let of = it.data["status"]["synced"]["secretResourceVersion"].as_str();
            versions[&it.name_any()].as_deref() != of
        });
        let now = unlike.count();
        if now < left {
            (left, fewer) = (now, Instant::now());
            stage.say(&format!("{left} not on record yet"));
        }
        if left == 0 || fewer.elapsed() > PATIENCE {
            return (left, fewer);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}
