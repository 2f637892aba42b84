//! What looks cost at rest: all users of one pool, with `--drift report`, and nothing to say about any of them.

use std::time::Duration;

use tokio::time::sleep;

use crate::process;
use crate::scenarios::lines;
use crate::stage::{AuditedRequest, Stage, UNLIMITED, number};
use crate::support::metrics;
use crate::table::{Goal, Line};

/// A look counts from this time after a set.
const MARGIN: Duration = Duration::from_secs(61);

/// How often the benchmark reads the record of the API server.
const POLL: Duration = Duration::from_secs(1);

/// How long the benchmark observes the operator after a pass.
const IDLE: Duration = Duration::from_mins(1);

/// `ListUsers` gives 60 users a page.
const PAGE: usize = 60;

const LOOKING: [&str; 2] = ["--drift", "report"];

/// One pass that has nothing to write, beside an operator that doesn't look.
pub(crate) async fn run(stage: &Stage) -> Vec<Line> {
    let count = stage.count();
    let pages = count.div_ceil(PAGE);
    let operator = stage.operator_without_free_pages(UNLIMITED, &[]).await;
    stage.verified(&operator).await;
    sleep(MARGIN).await;
    let floor = process::private_memory(operator.pid());
    stage.end(operator).await;

    let mark = stage.plane.audit_mark();
    let operator = stage.operator_with(UNLIMITED, &LOOKING).await;
    stage
        .until("every user is verified once", async || {
            sleep(POLL).await;
            let asked = stage.asked(mark);
            let writes = asked.iter().filter(|it| it.is_status_write()).count();
            if writes >= count {
                return Ok(());
            }
            Err(format!("{writes} of {count} statuses are written"))
        })
        .await;
    stage.end(operator).await;
    stage.say("every user is verified once");

    let (mark, listed) = (stage.plane.audit_mark(), stage.cognito.lists());
    let operator = stage.operator_without_free_pages(UNLIMITED, &LOOKING).await;
    stage.verified(&operator).await;
    stage
        .until("the pass is complete", async || {
            let lists = stage.cognito.lists() - listed;
            if lists >= pages {
                return Ok(());
            }
            Err(format!("{lists} of {pages} pages"))
        })
        .await;
    sleep(IDLE).await;
    let memory = process::private_memory(operator.pid());
    let lists = stage.cognito.lists() - listed;
    let asked = stage.asked(mark);
    let is_write = |it: &&AuditedRequest| it.is_status_write();
    let writes = asked.iter().filter(is_write).count();
    let (_, text) = operator.get("/metrics").await;
    let stall = "cognito_password_operator_longest_stall_since_start_seconds";
    let stall = metrics::value(&text, stall, &[]).expect("the operator measures stalls");
    stage.say(&format!(
        "looked: {lists} pages, {memory:.2} MB of private memory, {floor:.2} MB without looks"
    ));
    stage.end(operator).await;
    lines(
        "looks",
        [
            (
                "ListUsers calls of a pass",
                "",
                number(lists),
                Some(number(pages)),
                Goal::Most(number(pages + 2)),
            ),
            (
                "status writes at rest",
                "",
                number(writes),
                Some(0.0),
                Goal::Nothing,
            ),
            (
                "private memory beyond that without looks",
                "MB",
                memory - floor,
                None,
                Goal::Most(0.3 * number(count) / 1e4),
            ),
            ("longest stall", "ms", stall * 1e3, None, Goal::Most(50.0)),
        ],
    )
}
